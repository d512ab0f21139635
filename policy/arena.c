// SPDX-License-Identifier: GPL-2.0-only
#include "arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE	(64U << 10)
#define ALIGNMENT	16U

struct arena_chunk {
	struct arena_chunk *next;
	size_t	size;
	_Alignas(ALIGNMENT) char data[];
};

static void out_of_memory(void)
{
	fputs("attls: out of memory while reading a policy\n", stderr);
	abort();
}

void *policy_calloc(size_t n, size_t size)
{
	void *memory = calloc(n ? n : 1, size);

	if (!memory)
		out_of_memory();
	return memory;
}

void *policy_realloc(void *old, size_t n, size_t size)
{
	void *memory = reallocarray(old, n ? n : 1, size);

	if (!memory)
		out_of_memory();
	return memory;
}

static void add_chunk(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk;

	if (size < CHUNK_SIZE)
		size = CHUNK_SIZE;
	chunk = policy_calloc(1, sizeof(*chunk) + size);
	chunk->size = size;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	arena->left = size;
}

void *policy_arena_alloc(struct arena *arena, size_t size)
{
	char *memory;

	if (size > SIZE_MAX / 2)
		out_of_memory();
	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (arena->left < size)
		add_chunk(arena, size);
	memory = arena->chunks->data + arena->chunks->size - arena->left;
	arena->left -= size;
	return memory;
}

char *policy_arena_strndup(struct arena *arena, const char *text, size_t len)
{
	char *copy = policy_arena_alloc(arena, len + 1);

	memcpy(copy, text, len);
	return copy;
}

void policy_arena_free(struct arena *arena)
{
	struct arena_chunk *chunk, *next;

	for (chunk = arena->chunks; chunk; chunk = next) {
		next = chunk->next;
		/* A password may be among it. */
		explicit_bzero(chunk->data, chunk->size);
		free(chunk);
	}
	arena->chunks = NULL;
	arena->left = 0;
}
