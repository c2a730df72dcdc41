/* build_id.h: which build of agate this is. */
#ifndef AGATE_BUILD_ID_H
#define AGATE_BUILD_ID_H

#include "runtime/base/base.h"

/* Appends what tells this very program or library from any other build: the identity that the linker made
 * from its contents, or where there is none, the file it came from. Returns false where neither is known. */
AGATE_MUST_USE bool agate_build_id(agate_text *text);

#endif
