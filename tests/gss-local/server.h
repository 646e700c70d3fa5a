/* server.h - everything the rooms share. Filled in once by main.c before the first request, then
 * only read; each part locks itself. */
#pragma once

#include "faults.h"
#include "halt.h"
#include "session.h"
#include "settings.h"
#include "stats.h"
#include "store.h"

typedef struct {
	GlHalt *halt;
	GlSettingsBox *settings;
	GlSessions *sessions;
	GlFaults *faults;
	GlStats *stats;
	GlStore *store;
	guint16 port;
} GlServer;
