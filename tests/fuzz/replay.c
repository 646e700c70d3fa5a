/* replay.c - runs a fuzz target over the files of a folder (its first argument), without libFuzzer.
 */
#include "fuzz.h"

#include <gio/gio.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GDir) folder = argc == 2 ? g_dir_open(argv[1], 0, &error) : NULL;
	guint count = 0;
	if (folder == NULL) {
		fprintf(stderr, "usage: %s CORPUS: %s\n", argv[0],
		        error != NULL ? error->message : "no folder");
		return 2;
	}
	for (const char *name; (name = g_dir_read_name(folder)) != NULL; count++) {
		g_autofree char *path = g_build_filename(argv[1], name, NULL);
		g_autofree char *bytes = NULL;
		gsize length;
		if (!g_file_get_contents(path, &bytes, &length, &error)) {
			fprintf(stderr, "%s\n", error->message);
			return 1;
		}
		/* Also cut: where an answer ends early. */
		for (gsize cut = 0; cut <= length; cut += 1 + cut / 16)
			LLVMFuzzerTestOneInput((const uint8_t *)bytes, cut);
		LLVMFuzzerTestOneInput((const uint8_t *)bytes, length);
	}
	printf("1..1\n%s 1 - %u files\n", count > 0 ? "ok" : "not ok", count);
	return count > 0 ? 0 : 1;
}
