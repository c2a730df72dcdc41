/* control.c: what watches a session, or ends its runs early: cancelling, deadlines, profiles. */
#include "runtime/session.h"

void agate_session_cancel(agate_session *session)
{
    atomic_store_explicit(&session->cancelled, true, memory_order_relaxed);
}

void agate_session_resume(agate_session *session)
{
    atomic_store_explicit(&session->cancelled, false, memory_order_relaxed);
}

void agate_session_set_deadline(agate_session *session, uint64_t deadline_ns)
{
    session->deadline_ns = deadline_ns;
}

void agate_session_set_profile(agate_session *session, agate_profile_fn fn, void *user)
{
    session->profile = fn;
    session->profile_user = user;
}
