/* storage.h - the storage behind GSS (refissh and plm), reached through request descriptions: REST
 * with X-Auth-Token. */
#pragma once

#include "http.h"

extern const GlHandler gl_storage_handler;
