/* test-cache-world.h - a cache on a gss-local of its own, without FUSE, for the tests of the cache.
 * Failures end the test. */
#pragma once

#include "gss/client.h"
#include "test-cache-sync.h"
#include "test-server.h"

typedef struct {
	TestServer *server;
	char *dir; /* the cache's */
	GssClient *client;
	Cache *cache;
	CacheId home;  /* it4i_anselm://home */
	guint64 limit; /* of the cache, 0 default */
	bool overwrite;
} Fixture;

/* The path of gss-local, before the first set_up(). */
void world_init(const char *server_path);
/* What writes the journal instead of pwrite(), in this process. */
void intercept_journal(gssize (*write)(int fd, const void *bytes, gsize length, off_t offset));
void set_up(Fixture *f, const void *data);
void tear_down(Fixture *f, const void *data);
/* The cache alone; the server goes on. */
void start_cache(Fixture *f);
void stop_cache(Fixture *f);
void control(Fixture *f, const char *path, const char *body);
void await_counter(Fixture *f, const char *name, int value);
/* Asked of `name` in home, which is not there, the service says that it can be made where nobody
 * takes bodies. `parameters` of the fault begin with “&”, or are empty. */
void answer_nowhere(Fixture *f, const char *name, const char *parameters);
/* How often the server has seen something. */
int counter(Fixture *f, const char *name);
/* The cache as a kill at this moment leaves it, started anew. What is held at the server stays.
 * `open` was open here; may be NULL. */
void kill_cache(Fixture *f, CacheFile *open);

/* --- what the server's folder holds --- */

/* The path of a file in home. Free with g_free(). */
char *place(Fixture *f, const char *path);
void assert_there(Fixture *f, const char *path, const char *expected);
void assert_gone(Fixture *f, const char *path);
/* A place, or the absence of one, that is to come about behind our back. */
void await_there(Fixture *f, const char *name, bool there);
void put_there(Fixture *f, const char *path, const char *text);
/* As another mount would find it: without what was asked before. */
void put_and_restart(Fixture *f, const char *path, const char *text);

/* --- what a program does --- */

CacheId make(Fixture *f, const char *name, const char *text);
void rewrite(Fixture *f, CacheId id, const char *text);
CacheId find(Fixture *f, const char *name);
CacheFile *open_file(Fixture *f, CacheId id, int flags);
void put(CacheFile *file, guint64 offset, const char *text);
void close_file(CacheFile *file);
void move(Fixture *f, const char *from, const char *to);
void delete (Fixture *f, const char *name);
void assert_names(Fixture *f, const char *expected); /* of home */
void assert_read(CacheFile *file, const char *expected);
/* Until a try of its upload has failed. */
void await_error(Fixture *f, CacheId id);
/* What a reader of the file in home reads. Free with g_free(). */
char *content(Fixture *f, const char *name);
/* Waits until everything is on GSS; nothing may be parked. */
void drain(Fixture *f);

#define ADD(name, function) g_test_add("/cache/" name, Fixture, NULL, set_up, function, tear_down)
