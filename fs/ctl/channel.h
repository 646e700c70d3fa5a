/* fs/ctl/channel.h - an open .status of a mount: reading it, waiting for it to change, writing
 * commands.
 *
 * Threads: one object one thread; ctl_channel_command() opens its own and may be called from any.
 */
#pragma once

#include "fs/ctl/mounts.h"
#include "fs/ctl/status.h"

typedef struct CtlChannel CtlChannel;

/* ENOTCONN: the mount's process is gone. EACCES: it is somebody else's. ENOENT: it has no .status
 * (an older gssfs). The mount must outlive it. */
CtlChannel *ctl_channel_open(const CtlMount *mount, GError **error);
void ctl_channel_close(CtlChannel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlChannel, ctl_channel_close)

const CtlMount *ctl_channel_mount(const CtlChannel *channel);
/* The state as it is now. */
CtlStatus *ctl_channel_read(CtlChannel *channel, GError **error);
/* Waits until one of the channels (CtlChannel) tells that something changed since it was read, a
 * signal came (ctl_interrupts()), `wake` is readable (-1: none), or the time is over. */
void ctl_channels_wait(const GPtrArray *channels, int wake, int timeout_ms);

/* Writes one line to a control file, newline added, and waits for its end. EINTR only when
 * ctl_interrupted(). EINVAL: it has a newline in it, which no quotes hide. */
bool ctl_channel_write(const char *file, const char *line, GError **error);
/* A command to a mount's .status: words are quoted. `argument` may be NULL. */
bool ctl_channel_command(const CtlMount *mount, const char *verb, const char *argument,
                         GError **error);

/* Channels to all mounts that are ours (CtlChannel); what is wrong with one was said. ENODEV: there
 * is none. */
GPtrArray *ctl_channels(const GPtrArray *mounts, GError **error);
