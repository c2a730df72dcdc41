/* model.h: how a compiled module becomes an agate_model. Internal to agate; not installed. */
#ifndef AGATE_MODEL_H
#define AGATE_MODEL_H

#include "runtime/base/module.h"

/* Wraps `module` in a model. `release(owner)` is called when the model goes; both are taken over on success
 * only. Refuses a module of another version, or one that needs CPU features that are not here (naming
 * them). */
AGATE_MUST_USE agate_status agate_model_create(const agate_module *module, void (*release)(void *owner),
                                               void *owner, agate_model **out_model);

/* Refuses, with `code`, a module whose numbers do not fit together: indices, sizes and places in memory that
 * a run would trust. What compiled functions and reference kernels do inside their arguments is theirs. */
AGATE_MUST_USE agate_status agate_module_check(const agate_module *module, agate_code code);

/* One more reference; agate_model_release gives it back. Thread-safe. */
void agate_model_retain(agate_model *model);

const agate_module *agate_model_module(const agate_model *model);

/* Bytes of the slab as it is now. */
size_t agate_session_slab_size(const agate_session *session);

#endif
