/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that lives as long as a policy and is freed in one go. */
#ifndef ATTLS_ARENA_H
#define ATTLS_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t	left;
};

/* Zeroed and aligned for anything; never NULL, see policy.h. */
void *policy_arena_alloc(struct arena *arena, size_t size);
char *policy_arena_strndup(struct arena *arena, const char *text, size_t len);
void policy_arena_free(struct arena *arena);

/* calloc() and realloc() that end the program instead of failing. */
void *policy_calloc(size_t n, size_t size);
void *policy_realloc(void *old, size_t n, size_t size);

#endif /* ATTLS_ARENA_H */
