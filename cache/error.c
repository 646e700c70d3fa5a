#include "cache/error.h"

G_DEFINE_QUARK(cache - error, cache_error)
