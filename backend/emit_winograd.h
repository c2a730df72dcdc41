/* emit_winograd.h: what else the backend asks of strategy winograd. */
#ifndef AGATE_EMIT_WINOGRAD_H
#define AGATE_EMIT_WINOGRAD_H

#include "backend/emit.h"

int64_t agate_winograd_workspace_bytes(const agate_node *kernel);

/* Why a kernel of this strategy cannot be emitted as it is scheduled; NULL: it can. */
const char *agate_winograd_refuses(const agate_node *kernel);

#endif
