/* gss/stat-private.h - what was learned about storages: does HEAD answer the size of a file?
 *
 * The verdict is one for a storage, that is a backend and the host its descriptions point to. On
 * gss-net only; memory is bounded.
 */
#pragma once

#include "gss/http.h"
#include "gss/resource-private.h"

typedef enum {
	GSS_HEAD_UNKNOWN,
	GSS_HEAD_SIZE, /* it agreed with a GET */
	GSS_HEAD_WORD, /* it answers the length of the word FILE, or nothing */
} GssHeadKind;

typedef struct GssStorages GssStorages;

GssStorages *gss_storages_new(void);
void gss_storages_free(GssStorages *storages);

GssHeadKind gss_storages_kind(const GssStorages *storages, const GssResource *resource);

/* A HEAD said `length` (-1: nothing) of a file of which a GET proved `size`. */
void gss_storages_compared(GssStorages *storages, const GssResource *resource, gint64 length,
                           gint64 size);
/* `version` was believed because of a HEAD. */
void gss_storages_believed(GssStorages *storages, const GssResource *resource,
                           const GssVersion *version);
/* A GET proved `version`: is what a HEAD said of the same version refuted? Then its storage is
 * asked anew. */
void gss_storages_proved(GssStorages *storages, const GssResource *resource,
                         const GssVersion *version);

/* Last-Modified and ETag of an answer; the size stays as it is. */
void gss_version_from_answer(GssVersion *version, const GssAnswer *answer);

/* Content-Range of a 206 ("bytes first-last/size") or 416 ("bytes *" "/size"). `ret_size` is -1
 * where it says *; for the second form first and last are -1. False: it is neither. */
bool gss_content_range(const char *text, gint64 *ret_first, gint64 *ret_last, gint64 *ret_size);
