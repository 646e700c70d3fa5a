/* gssctl: the verbs. */
#include "fs/ctl/ctl.h"

#include <locale.h>
#include <string.h>

const CtlVerb *const ctl_verbs[] = {
	&ctl_verb_login,  &ctl_verb_status, &ctl_verb_flush,   &ctl_verb_register,
	&ctl_verb_images, &ctl_verb_retry,  &ctl_verb_discard, &ctl_verb_refresh,
	&ctl_verb_uri,    &ctl_verb_path,   &ctl_verb_umount,  NULL,
};

const CtlVerb *ctl_verb_find(const char *name)
{
	for (guint i = 0; ctl_verbs[i] != NULL; i++) {
		if (strcmp(ctl_verbs[i]->name, name) == 0)
			return ctl_verbs[i];
	}
	return NULL;
}

static void print_help(FILE *file)
{
	fprintf(file, "Usage: gssctl VERB [OPTION…] [ARGUMENT…]\n"
	              "Looks after mounted GSS storage (gssfs).\n\n");
	for (guint i = 0; ctl_verbs[i] != NULL; i++)
		fprintf(file, "  %-9s %s\n", ctl_verbs[i]->name, ctl_verbs[i]->summary);
	fprintf(file, "\ngssctl VERB --help tells more of one, man gssctl of all.\n");
}

static int no_verb(const char *name)
{
	ctl_say("there is no verb %s (see gssctl --help)", name);
	return CTL_USAGE;
}

static int help(char *name)
{
	static char option[] = "--help";
	const CtlVerb *verb = ctl_verb_find(name);
	g_auto(GStrv) words = g_strdupv((char *[]){name, option, NULL});

	return verb != NULL ? verb->run(name, words) : no_verb(name);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	setlocale(LC_ALL, "");
	if (name == NULL) {
		print_help(stderr);
		return CTL_USAGE;
	}
	if (strcmp(name, "help") == 0 && argc > 2)
		return help(argv[2]);
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_help(stdout);
		return CTL_OK;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
		printf("gssctl %s\n", GSSFS_VERSION);
		return CTL_OK;
	}
	const CtlVerb *verb = ctl_verb_find(name);
	if (verb == NULL)
		return no_verb(name);
	g_auto(GStrv) words = g_strdupv(argv + 1);
	int status = verb->run(name, words);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		ctl_say("standard output cannot be written");
		return ctl_worse(status, CTL_IOERR);
	}
	return status;
}
