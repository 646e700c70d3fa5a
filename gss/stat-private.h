/* gss/stat-private.h - what was learned about storages: does HEAD answer the size of a file, does
 * a folder have a full view?
 *
 * The verdicts are those of a storage, that is a backend and the host its descriptions point to.
 * What was found missing is tried again after a week; that HEAD answers sizes is proven again after
 * a week in which no GET agreed with one. Any thread; memory is bounded.
 */
#pragma once

#include "gss/http.h"
#include "gss/resource-private.h"
#include "gss/storage.h"

/* A HEAD that agrees on a size as small as a word (FILE, FOLDER, NOTEXIST, with a line end or
 * quotes) or on nothing proves nothing. */
#define GSS_WORD_MAX 12

typedef enum {
	GSS_HEAD_UNKNOWN,
	GSS_HEAD_SIZE, /* it agreed with a GET */
	GSS_HEAD_WORD, /* it answers the length of the word FILE, or nothing */
} GssHeadKind;

typedef struct GssStorages GssStorages;

GssStorages *gss_storages_new(void);
void gss_storages_free(GssStorages *storages);

GssHeadKind gss_storages_kind(GssStorages *storages, const GssResource *resource);
/* Where HEAD is known to answer sizes: may this one be what it says? A size that could be the
 * length of a word must be what a GET told of the same file with the same date or ETag. */
bool gss_storages_believable(GssStorages *storages, const GssResource *resource,
                             const GssVersion *version);
/* It was not, and a GET told something else: HEAD is not known any more to answer sizes. */
void gss_storages_doubt_head(GssStorages *storages, const GssResource *resource);

/* A HEAD said `length` (-1: nothing) of a file of which a GET proved `size`. A word is recognised
 * at once; any other length that is wrong of two files in a row is as useless. */
void gss_storages_compared(GssStorages *storages, const GssResource *resource, gint64 length,
                           gint64 size);
/* `version` was believed because of a HEAD, or of a view. */
void gss_storages_believed(GssStorages *storages, const GssResource *resource,
                           const GssVersion *version, bool view);
/* A GET proved `version`: is what was believed of the same version refuted? Then its storage is
 * asked anew. */
void gss_storages_proved(GssStorages *storages, const GssResource *resource,
                         const GssVersion *version);

/* The size that was counted of the file when it had this date or ETag; -1: none was. */
gint64 gss_storages_counted(GssStorages *storages, const GssResource *resource,
                            const GssVersion *version);
void gss_storages_keep_count(GssStorages *storages, const GssResource *resource,
                             const GssVersion *version);

GssViewKind gss_storages_view_kind(GssStorages *storages, const GssResource *resource);
void gss_storages_judge_view(GssStorages *storages, const GssResource *resource, GssViewKind kind);
/* Not to be tried again soon. */
void gss_storages_pause_view(GssStorages *storages, const GssResource *resource);

/* For gss_storage_learned() and its like. */
guint gss_storages_serial(GssStorages *storages);
char *gss_storages_export(GssStorages *storages, const char *backend);
void gss_storages_import(GssStorages *storages, const char *backend, const char *text);

/* Last-Modified and ETag of an answer; the size stays as it is. */
void gss_version_from_answer(GssVersion *version, const GssAnswer *answer);

/* Content-Range of a 206 ("bytes first-last/size") or 416 ("bytes *" "/size"). `ret_size` is -1
 * where it says *; for the second form first and last are -1. False: it is neither. */
bool gss_content_range(const char *text, gint64 *ret_first, gint64 *ret_last, gint64 *ret_size);
