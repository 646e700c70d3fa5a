/* fs/ctl/ctl.h - gssctl: a thin front to the files by which a mount is spoken to.
 *
 * It knows a mount by /proc/self/mountinfo, its control files (.status, .register, .images/) and
 * its extended attributes alone: whatever gssctl does, a script can do too. Nothing here links
 * FUSE, the journal or the network.
 *
 * What belongs to all verbs is declared here. Results go to standard output; bars, questions and
 * complaints to standard error.
 *
 * Threads: the main thread, unless a function says otherwise.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>

/* Exit statuses, as sysexits.h has them; gssctl(1) lists them. */
enum {
	CTL_OK = 0,
	CTL_FAILED = 1,       /* not everything arrived, or was done */
	CTL_USAGE = 64,       /* wrong arguments */
	CTL_NOINPUT = 66,     /* no such file, or it is in no mount */
	CTL_UNAVAILABLE = 69, /* nothing is mounted, or the mount does not answer */
	CTL_IOERR = 74,       /* a file can't be read or written */
	CTL_TEMPFAIL = 75,    /* the time given was not enough, or something is in use */
	CTL_NOPERM = 77,      /* the login was refused, or the file is somebody else's */
	CTL_SIGNAL = 128,     /* plus the signal's number: ended by Ctrl-C and the like */
};

typedef struct {
	const char *name;
	const char *arguments; /* as usage shows them; NULL: none */
	const char *summary;   /* one line */
	const char *details;   /* below the options of --help; may be NULL */
	int (*run)(const char *name, char **words);
} CtlVerb;

extern const CtlVerb ctl_verb_discard, ctl_verb_flush, ctl_verb_images, ctl_verb_login,
	ctl_verb_path, ctl_verb_refresh, ctl_verb_register, ctl_verb_retry, ctl_verb_status,
	ctl_verb_umount, ctl_verb_uri;
extern const CtlVerb
	*const ctl_verbs[]; /* NULL-terminated, in the order in which help shows them */
const CtlVerb *ctl_verb_find(const char *name);

/* Parses the options of a verb out of `words` (words[0] is the verb), which keeps the verb and the
 * arguments. --help prints and exits. False: what is wrong was said. */
bool ctl_options(const CtlVerb *verb, const GOptionEntry *entries, char ***words);

/* The option of verbs that look for storages among all mounts. */
#define CTL_MOUNT_ENTRY(array)                                                     \
	{                                                                          \
		"mount", 'm', 0, G_OPTION_ARG_FILENAME_ARRAY, &(array),            \
			"Of this mount alone; may be given several times", "MOUNT" \
	}

/* Sets a CACHE_ERROR, whose code is a positive errno. Returns false. */
bool ctl_fail(GError **error, int code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* A line on standard error, with the program's name before it; control bytes are made harmless. */
void ctl_say(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Says it and tells the exit status that goes with it. */
int ctl_complain(const GError *error);
/* Of two exit statuses the worse: what was wrong first, but CTL_FAILED gives way. */
int ctl_worse(int a, int b);

/* A yes or no on the terminal. Without one: false, and what to do instead was said. */
bool ctl_confirm(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* From here on SIGINT, SIGTERM, SIGHUP and SIGQUIT do not kill: they make the descriptor readable
 * and the number known. A second one kills. */
int ctl_interrupts(void);
int ctl_interrupted(void); /* the signal's number; 0: none. Any thread. */
