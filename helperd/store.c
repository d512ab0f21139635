// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one thing that workers share: sessions that can be resumed, and the
 * keys of tickets.  Any worker may take any handshake, so each has to find
 * what another one has kept.
 *
 * It is one mapping, which the parent makes before it forks; nothing of it
 * is written to a disk or a core, and its pages come as they are touched.
 * What is removed is wiped.
 *
 * A mutex guards all of it.  A worker that dies may leave half of a change
 * behind, and it may have died of an attack: everything goes then, and each
 * handshake is full once.
 *
 * The parent never takes the mutex.  A robust mutex has pointers in it, which
 * whoever locks it follows, and workers are less trusted than root.  So the
 * parent only counts up how often all has to be wiped; who locks next, does.
 */
#include "store.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#define SETS		256
#define WAYS		8
#define SLOTS		(SETS * WAYS)
#define ROOM		16384		/* bytes of a session with its chain */
#define KEYS		64
#define FORGOTTEN	1024

struct slot {
	uint64_t serial;		/* counts up; 0: it is free */
	struct store_id id;
	uint8_t	token[ATTLS_SESSION_LEN];
	int64_t	until;
	uint32_t session_len;
	uint32_t chain_len;
};

struct ring_key {
	struct store_key key;
	unsigned int refresh;
	int64_t	made;			/* seconds; 0: it is free */
	int64_t	ends;
};

struct store {
	pthread_mutex_t lock;
	atomic_uint wanted;		/* wipes, by the parent */
	unsigned int done;
	unsigned int era;
	atomic_uint lost;		/* the highest that was heard of */
	uint64_t serial;		/* of the newest session */
	struct slot slot[SLOTS];
	struct ring_key key[KEYS];
	unsigned int n_forgotten;
	uint8_t	forgotten[FORGOTTEN][ATTLS_SESSION_LEN];
	uint8_t	data[SLOTS][ROOM];
};

static struct store *store;

/* Other processes have the mutex mapped at the same place: it is robust. */
static int init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int ret;

	ret = pthread_mutexattr_init(&attr);
	if (ret)
		return -ret;
	ret = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (!ret)
		ret = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (!ret)
		ret = pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return -ret;
}

int attlsd_store_init(void)
{
	void *map = mmap(NULL, sizeof(*store), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int ret;

	if (map == MAP_FAILED)
		return -errno;
	ret = madvise(map, sizeof(*store), MADV_DONTDUMP) ? -errno : 0;
	store = map;
	return ret ? ret : init_lock(&store->lock);
}

void attlsd_store_clear(void)
{
	atomic_fetch_add(&store->wanted, 1);
}

static void drop(struct slot *slot)
{
	uint8_t *data = store->data[slot - store->slot];

	OPENSSL_cleanse(data, slot->session_len + slot->chain_len);
	OPENSSL_cleanse(slot, sizeof(*slot));
}

static void wipe_keys(void)
{
	OPENSSL_cleanse(store->key, sizeof(store->key));
	store->n_forgotten = 0;
}

/* Whose lengths may be wrong, as everything else. */
static void wipe(void)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (store->slot[i].serial)
			OPENSSL_cleanse(store->data[i], ROOM);
	OPENSSL_cleanse(store->slot, sizeof(store->slot));
	wipe_keys();
	store->era++;
}

static bool lock(void)
{
	int ret = pthread_mutex_lock(&store->lock);
	unsigned int wanted = atomic_load(&store->wanted);

	if (ret == EOWNERDEAD)
		ret = pthread_mutex_consistent(&store->lock);
	else if (!ret && store->done == wanted)
		return true;
	if (ret)
		return false;
	wipe();
	store->done = wanted;
	return true;
}

static void unlock(void)
{
	pthread_mutex_unlock(&store->lock);
}

static bool is_news(unsigned int lost)
{
	return (int)(lost - atomic_load(&store->lost)) > 0;
}

void attlsd_store_lost(unsigned int lost)
{
	if (!is_news(lost) || !lock())
		return;
	if (is_news(lost)) {
		wipe();
		atomic_store(&store->lost, lost);
	}
	unlock();
}

unsigned int attlsd_store_era(void)
{
	unsigned int era;

	if (!lock())
		return 0;
	era = store->era;
	unlock();
	return era;
}

static bool same_token(const uint8_t *a, const uint8_t *b)
{
	return !memcmp(a, b, ATTLS_SESSION_LEN);
}

static bool is_forgotten(const uint8_t *token)
{
	for (unsigned int i = 0; i < store->n_forgotten; i++)
		if (same_token(store->forgotten[i], token))
			return true;
	return false;
}

/* Both are hashes, so any byte is as good as another. */
static struct slot *set_of(const struct store_id *id)
{
	return &store->slot[(id->owner[0] ^ id->peer[0]) * WAYS];
}

static struct slot *oldest_of_set(const struct store_id *id)
{
	struct slot *set = set_of(id);
	struct slot *oldest = set;

	for (size_t i = 1; i < WAYS; i++)
		if (set[i].serial < oldest->serial)
			oldest = &set[i];
	return oldest;
}

/* Makes room for one more of an owner who may have @most. */
static void bound_owner(const uint8_t *owner, unsigned int most)
{
	struct slot *oldest = NULL;
	unsigned int n = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *slot = &store->slot[i];

		if (!slot->serial || memcmp(slot->id.owner, owner, STORE_ID))
			continue;
		n++;
		if (!oldest || slot->serial < oldest->serial)
			oldest = slot;
	}
	if (oldest && n >= most)
		drop(oldest);
}

static void fill(struct slot *slot, const struct store_session *s)
{
	uint8_t *data = store->data[slot - store->slot];

	slot->id = s->id;
	memcpy(slot->token, s->token, sizeof(slot->token));
	slot->until = s->until;
	slot->session_len = s->session_len;
	slot->chain_len = s->chain_len;
	memcpy(data, s->session, s->session_len);
	if (s->chain_len)
		memcpy(data + s->session_len, s->chain, s->chain_len);
	slot->serial = ++store->serial;
}

void attlsd_store_put(const struct store_session *s)
{
	struct slot *slot;

	if (s->session_len > ROOM || s->chain_len > ROOM - s->session_len ||
	    !lock())
		return;
	if (s->era == store->era && !is_forgotten(s->token)) {
		if (s->most)
			bound_owner(s->id.owner, s->most);
		slot = oldest_of_set(&s->id);
		drop(slot);
		fill(slot, s);
	}
	unlock();
}

static bool fits(const struct slot *slot, const struct store_id *id,
		 const uint8_t *token, int64_t now)
{
	if (!slot->serial || slot->until < now ||
	    memcmp(slot->id.owner, id->owner, STORE_ID))
		return false;
	return token ? same_token(slot->token, token) :
		       !memcmp(slot->id.peer, id->peer, STORE_ID);
}

static struct slot *find(const struct store_id *id, const uint8_t *token)
{
	struct slot *from = token ? store->slot : set_of(id);
	size_t n = token ? SLOTS : WAYS;
	struct slot *newest = NULL;
	int64_t now = time(NULL);

	for (size_t i = 0; i < n; i++)
		if (fits(&from[i], id, token, now) &&
		    (!newest || from[i].serial > newest->serial))
			newest = &from[i];
	return newest;
}

static struct store_copy *copy_of(const struct slot *slot)
{
	size_t len = (size_t)slot->session_len + slot->chain_len;
	struct store_copy *copy;

	if (len > ROOM)
		return NULL;
	copy = malloc(sizeof(*copy) + len);
	if (!copy)
		return NULL;
	memcpy(copy->token, slot->token, sizeof(copy->token));
	copy->session_len = slot->session_len;
	copy->chain_len = slot->chain_len;
	memcpy(copy->data, store->data[slot - store->slot], len);
	return copy;
}

struct store_copy *attlsd_store_get(const struct store_id *id,
				    const uint8_t *token, bool once)
{
	struct store_copy *copy = NULL;
	struct slot *slot;

	if (!lock())
		return NULL;
	slot = find(id, token);
	if (slot) {
		copy = copy_of(slot);
		if (once)
			drop(slot);
	}
	unlock();
	return copy;
}

void attlsd_store_free(struct store_copy *copy)
{
	if (!copy)
		return;
	OPENSSL_cleanse(copy, sizeof(*copy) + copy->session_len +
			copy->chain_len);
	free(copy);
}

/*
 * The list says which tickets are void, of those under keys that we have.
 * When it is full the keys go, and it is of no use any more.
 */
static void remember(const uint8_t *token)
{
	if (is_forgotten(token))
		return;
	if (store->n_forgotten == FORGOTTEN)
		wipe_keys();
	memcpy(store->forgotten[store->n_forgotten++], token,
	       ATTLS_SESSION_LEN);
}

void attlsd_store_forget(const uint8_t *token)
{
	if (!lock())
		return;
	for (size_t i = 0; i < SLOTS; i++)
		if (store->slot[i].serial &&
		    same_token(store->slot[i].token, token))
			drop(&store->slot[i]);
	remember(token);
	unlock();
}

/* In doubt it is. */
bool attlsd_store_is_forgotten(const uint8_t *token)
{
	bool ret = true;

	if (!lock())
		return ret;
	ret = is_forgotten(token);
	unlock();
	return ret;
}

/* Seconds; tickets must not live longer because the clock was set. */
static int64_t uptime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec + 1;		/* never 0 */
}

static bool is_fresh(const struct ring_key *k, unsigned int refresh,
		     int64_t now)
{
	return k->made && k->refresh == refresh &&
	       (!refresh || now - k->made < refresh);
}

static struct ring_key *fresh_key(unsigned int refresh, int64_t now)
{
	for (size_t i = 0; i < KEYS; i++)
		if (is_fresh(&store->key[i], refresh, now))
			return &store->key[i];
	return NULL;
}

/* In the place of the one that ends first. */
static struct ring_key *new_key(unsigned int refresh, int64_t now)
{
	struct ring_key *k = store->key;
	struct store_key key;

	if (RAND_bytes(key.name, sizeof(key.name)) <= 0 ||
	    RAND_priv_bytes(key.secret, sizeof(key.secret)) <= 0)
		return NULL;
	for (size_t i = 1; i < KEYS; i++)
		if (store->key[i].ends < k->ends)
			k = &store->key[i];
	*k = (struct ring_key) {
		.key = key,
		.refresh = refresh,
		.made = now,
	};
	OPENSSL_cleanse(&key, sizeof(key));
	return k;
}

/* A key that is not refreshed ends with the policy. */
static int64_t end_of(const struct ring_key *k, unsigned int valid)
{
	return k->refresh ? k->made + k->refresh + valid : INT64_MAX;
}

bool attlsd_store_key(unsigned int refresh, unsigned int valid,
		      struct store_key *key)
{
	int64_t now = uptime();
	struct ring_key *k;

	if (!lock())
		return false;
	k = fresh_key(refresh, now);
	if (!k)
		k = new_key(refresh, now);
	if (k) {
		if (k->ends < end_of(k, valid))
			k->ends = end_of(k, valid);
		*key = k->key;
	}
	unlock();
	return k;
}

bool attlsd_store_key_find(const uint8_t *name, unsigned int refresh,
			   unsigned int valid, struct store_key *key,
			   bool *old)
{
	int64_t now = uptime();
	bool found = false;

	if (!lock())
		return false;
	for (size_t i = 0; i < KEYS && !found; i++) {
		struct ring_key *k = &store->key[i];

		if (!k->made || memcmp(k->key.name, name, STORE_NAME) ||
		    k->refresh != refresh || now > end_of(k, valid))
			continue;
		*key = k->key;
		*old = !is_fresh(k, refresh, now);
		found = true;
	}
	unlock();
	return found;
}
