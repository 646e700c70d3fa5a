#include "cache/error.h"

/* clang-format off: the name is turned into a string */
G_DEFINE_QUARK(cache-error, cache_error)
/* clang-format on */
