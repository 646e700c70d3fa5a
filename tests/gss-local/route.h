/* route.h - which room serves which path. */
#pragma once

#include "http.h"

/* Sets handler, subject and private; leaves handler NULL where nothing is served. */
void gl_route_find(GlRequest *request);
