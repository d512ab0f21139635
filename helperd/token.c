// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tokens of PKCS#11, by the modules that p11-kit knows.
 *
 * A client has a session of its own on each token, so signatures of several
 * run at the same time.  Login counts for the process; a wrong PIN is tried
 * once and never again, and none is tried that would lock the token.
 *
 * Some modules look for tokens only when they are initialised.  So when one
 * is missed all modules are, again, but not too often: it ends all sessions.
 */
#include "attlsd.h"
#include "token.h"

#include <stdlib.h>
#include <string.h>
#include <p11-kit/p11-kit.h>

#define SLOTS		256
#define AGAIN		5000		/* ms, between initialisations */
#define ATTRIBUTES(list) (sizeof(list) / sizeof(*(list)))

struct slot {
	CK_FUNCTION_LIST *module;
	CK_SLOT_ID id;
	CK_FLAGS flags;			/* of the token */
	unsigned int found;		/* tokens of this label */
};

/* Read by who uses a module, written by who initialises them. */
static pthread_rwlock_t attlsd_modules_lock = PTHREAD_RWLOCK_INITIALIZER;
static CK_FUNCTION_LIST **attlsd_modules;
static CK_FUNCTION_LIST **attlsd_modules_kept;
static unsigned int attlsd_modules_age;
static int64_t attlsd_modules_since;	/* ms */

/* The list that is kept is there so that no module is unloaded. */
static void load_modules(void)
{
	if (!attlsd_modules_kept)
		attlsd_modules_kept = p11_kit_modules_load(NULL, 0);
	if (attlsd_modules)
		p11_kit_modules_finalize_and_release(attlsd_modules);
	attlsd_modules = p11_kit_modules_load_and_initialize(0);
	attlsd_modules_age++;
	attlsd_modules_since = attlsd_now();
}

/* False: it was done just now. */
static bool load_again(void)
{
	bool due;

	pthread_rwlock_wrlock(&attlsd_modules_lock);
	due = !attlsd_modules_age ||
	      attlsd_now() - attlsd_modules_since >= AGAIN;
	if (due)
		load_modules();
	pthread_rwlock_unlock(&attlsd_modules_lock);
	return due;
}

/* The bucket of log.c is for one thread. */
bool token_log_allowed(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	bool allowed;

	pthread_mutex_lock(&lock);
	allowed = attlsd_log_allowed();
	pthread_mutex_unlock(&lock);
	return allowed;
}

static enum signer_wrong failed(const char *what, CK_RV rv,
				enum signer_wrong wrong)
{
	if (token_log_allowed())
		attlsd_log(LOG_ERR, "token: %s: %s", what,
			   p11_kit_strerror(rv));
	return wrong;
}

/* The name is filled up with blanks. */
static bool has_label(const CK_TOKEN_INFO *info, const char *label)
{
	size_t len = strlen(label);

	if (memcmp(info->label, label, len))
		return false;
	for (; len < sizeof(info->label); len++)
		if (info->label[len] != ' ' && info->label[len])
			return false;
	return true;
}

static void look_at(CK_FUNCTION_LIST *module, CK_SLOT_ID id,
		    const char *label, struct slot *slot)
{
	CK_TOKEN_INFO info;

	if (module->C_GetTokenInfo(id, &info) != CKR_OK ||
	    !has_label(&info, label))
		return;
	slot->module = module;
	slot->id = id;
	slot->flags = info.flags;
	slot->found++;
}

static enum signer_wrong find_token(const char *label, struct slot *slot)
{
	memset(slot, 0, sizeof(*slot));
	if (!attlsd_modules || !*attlsd_modules)
		return SIGNER_NO_MODULES;
	for (size_t i = 0; attlsd_modules[i]; i++) {
		CK_FUNCTION_LIST *module = attlsd_modules[i];
		CK_SLOT_ID ids[SLOTS];
		CK_ULONG n = 0;

		/* Some modules look for new slots only when asked how many. */
		module->C_GetSlotList(CK_TRUE, NULL, &n);
		n = SLOTS;
		if (module->C_GetSlotList(CK_TRUE, ids, &n) != CKR_OK)
			continue;
		for (CK_ULONG k = 0; k < n; k++)
			look_at(module, ids[k], label, slot);
	}
	if (slot->found == 1)
		return SIGNER_GOOD;
	return slot->found ? SIGNER_TWO_TOKENS : SIGNER_NO_TOKEN;
}

static enum signer_wrong refuse(struct token *token, enum signer_wrong wrong)
{
	OPENSSL_cleanse(token->pin, sizeof(token->pin));
	token->refused = wrong;
	return wrong;
}

/* With token->login held. */
static enum signer_wrong try_pin(struct token *token,
				 const struct token_session *session,
				 CK_FLAGS flags)
{
	CK_RV rv;

	if (token->refused)
		return token->refused;
	if (flags & CKF_USER_PIN_LOCKED)
		return SIGNER_LOCKED;
	if (flags & CKF_USER_PIN_FINAL_TRY)
		return SIGNER_LAST_TRY;
	rv = session->module->C_Login(session->handle, CKU_USER, token->pin,
				      token->len);
	switch (rv) {
	case CKR_OK:
	case CKR_USER_ALREADY_LOGGED_IN:
		return SIGNER_GOOD;
	case CKR_PIN_INCORRECT:
	case CKR_PIN_INVALID:
	case CKR_PIN_LEN_RANGE:
		return refuse(token, SIGNER_WRONG_PIN);
	case CKR_PIN_LOCKED:
		return refuse(token, SIGNER_LOCKED);
	}
	return failed("C_Login", rv, SIGNER_NO_LOGIN);
}

static enum signer_wrong log_in(struct token *token,
				const struct token_session *session,
				CK_FLAGS flags)
{
	enum signer_wrong wrong;

	if (!token->given)
		return flags & CKF_LOGIN_REQUIRED ? SIGNER_NEEDS_PIN :
						    SIGNER_GOOD;
	pthread_mutex_lock(&token->login);
	wrong = try_pin(token, session, flags);
	pthread_mutex_unlock(&token->login);
	return wrong;
}

static void close_session(struct token_session *session)
{
	/* Those of another age have ended with it. */
	if (session->module && session->age == attlsd_modules_age)
		session->module->C_CloseSession(session->handle);
	session->module = NULL;
}

static enum signer_wrong open_session(struct token *token,
				      struct token_session *session)
{
	struct slot slot;
	enum signer_wrong wrong = find_token(token->label, &slot);
	CK_RV rv;

	if (wrong)
		return wrong;
	rv = slot.module->C_OpenSession(slot.id, CKF_SERIAL_SESSION, NULL,
					NULL, &session->handle);
	if (rv != CKR_OK)
		return failed("C_OpenSession", rv, SIGNER_NO_TOKEN);
	session->module = slot.module;
	session->age = attlsd_modules_age;
	session->key = CK_INVALID_HANDLE;
	wrong = log_in(token, session, slot.flags);
	if (wrong)
		close_session(session);
	return wrong;
}

/* How many there are of at most @max. */
static CK_RV find(const struct token_session *session, CK_ATTRIBUTE *like,
		  CK_ULONG n_like, CK_OBJECT_HANDLE *objects, CK_ULONG max,
		  CK_ULONG *n)
{
	CK_FUNCTION_LIST *m = session->module;
	CK_ULONG more = 0;
	CK_RV rv;

	*n = 0;
	rv = m->C_FindObjectsInit(session->handle, like, n_like);
	if (rv != CKR_OK)
		return rv;
	do {
		rv = m->C_FindObjects(session->handle, objects + *n, max - *n,
				      &more);
		*n += rv == CKR_OK ? more : 0;
	} while (rv == CKR_OK && more && *n < max);
	m->C_FindObjectsFinal(session->handle);
	return rv;
}

static CK_RV find_key(const struct token_session *session, const void *id,
		      size_t len, CK_OBJECT_HANDLE *key)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE like[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_ID, (void *)id, len },
	};
	CK_ULONG n;
	CK_RV rv = find(session, like, ATTRIBUTES(like), key, 1, &n);

	if (rv == CKR_OK && !n)
		*key = CK_INVALID_HANDLE;
	return rv;
}

/* 0 when there is none, or when it is longer than @room. */
static CK_ULONG get(const struct token_session *session,
		    CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *to,
		    CK_ULONG room)
{
	CK_ATTRIBUTE attribute = { type, to, room };

	if (session->module->C_GetAttributeValue(session->handle, object,
						 &attribute, 1) != CKR_OK ||
	    attribute.ulValueLen > room)
		return 0;
	return attribute.ulValueLen;
}

static CK_RV describe(const struct token_session *session,
		      CK_OBJECT_HANDLE cert, struct signer_object *object)
{
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_RV rv = CKR_OK;

	memset(object, 0, sizeof(*object));
	get(session, cert, CKA_LABEL, object->label, SIGNER_NAME);
	object->id_len = (uint32_t)get(session, cert, CKA_ID, object->id,
				       sizeof(object->id));
	object->cert_len = (uint32_t)get(session, cert, CKA_VALUE,
					 object->cert, sizeof(object->cert));
	if (object->id_len)
		rv = find_key(session, object->id, object->id_len, &key);
	object->has_key = key != CK_INVALID_HANDLE;
	return rv;
}

static enum signer_wrong list(const struct token_session *session,
			      void (*fn)(const struct signer_object *object))
{
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_ATTRIBUTE like[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_CERTIFICATE_TYPE, &type, sizeof(type) },
	};
	CK_OBJECT_HANDLE certs[SIGNER_CERTS];
	struct signer_object object;
	CK_ULONG n;
	CK_RV rv = find(session, like, ATTRIBUTES(like), certs, SIGNER_CERTS,
			&n);

	for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++) {
		rv = describe(session, certs[i], &object);
		if (rv == CKR_OK)
			fn(&object);
	}
	return rv == CKR_OK ? SIGNER_GOOD :
	       failed("C_FindObjects", rv, SIGNER_NO_LIST);
}

enum signer_wrong token_list(struct token *token,
			     void (*fn)(const struct signer_object *object))
{
	struct token_session session = { 0 };
	enum signer_wrong wrong;

	load_again();
	pthread_rwlock_rdlock(&attlsd_modules_lock);
	wrong = open_session(token, &session);
	if (!wrong)
		wrong = list(&session, fn);
	close_session(&session);
	pthread_rwlock_unlock(&attlsd_modules_lock);
	return wrong;
}

/* False: the hash is none that TLS has. */
static bool set_pss(CK_RSA_PKCS_PSS_PARAMS *pss,
		    const struct signer_request *req)
{
	static const struct {
		unsigned int bits;
		CK_MECHANISM_TYPE hash;
		CK_RSA_PKCS_MGF_TYPE mgf;
	} hashes[] = {
		{ 224, CKM_SHA224, CKG_MGF1_SHA224 },
		{ 256, CKM_SHA256, CKG_MGF1_SHA256 },
		{ 384, CKM_SHA384, CKG_MGF1_SHA384 },
		{ 512, CKM_SHA512, CKG_MGF1_SHA512 },
	};

	for (size_t i = 0; i < ATTRIBUTES(hashes); i++) {
		if (hashes[i].bits != req->hash)
			continue;
		pss->hashAlg = hashes[i].hash;
		pss->mgf = hashes[i].mgf;
		pss->sLen = req->salt;
		return true;
	}
	return false;
}

static bool set_mechanism(CK_MECHANISM *mechanism, CK_RSA_PKCS_PSS_PARAMS *pss,
			  const struct signer_request *req)
{
	memset(mechanism, 0, sizeof(*mechanism));
	switch (req->way) {
	case SIGNER_RSA_PKCS1:
		mechanism->mechanism = CKM_RSA_PKCS;
		return true;
	case SIGNER_ECDSA:
		mechanism->mechanism = CKM_ECDSA;
		return true;
	case SIGNER_RSA_PSS:
		mechanism->mechanism = CKM_RSA_PKCS_PSS;
		mechanism->pParameter = pss;
		mechanism->ulParameterLen = sizeof(*pss);
		return set_pss(pss, req);
	}
	return false;
}

/* In a session that has the key. */
static CK_RV sign(const struct token_session *session,
		  const struct signer_request *req, struct signer_reply *reply)
{
	CK_RSA_PKCS_PSS_PARAMS pss;
	CK_MECHANISM mechanism;
	CK_ULONG len = sizeof(reply->data);
	CK_RV rv;

	if (!set_mechanism(&mechanism, &pss, req))
		return CKR_MECHANISM_INVALID;
	rv = session->module->C_SignInit(session->handle, &mechanism,
					 session->key);
	if (rv == CKR_OK)
		rv = session->module->C_Sign(session->handle,
					     (CK_BYTE *)req->data, req->len,
					     reply->data, &len);
	reply->len = rv == CKR_OK ? (uint32_t)len : 0;
	return rv;
}

static enum signer_wrong have_key(struct token_session *session,
				  const struct token_key *key, uint32_t number)
{
	CK_RV rv;

	if (session->key != CK_INVALID_HANDLE && session->number == number)
		return SIGNER_GOOD;
	rv = find_key(session, key->id, key->len, &session->key);
	session->number = number;
	if (rv != CKR_OK)
		return failed("C_FindObjects", rv, SIGNER_NO_KEY);
	return session->key == CK_INVALID_HANDLE ? SIGNER_NO_KEY : SIGNER_GOOD;
}

static enum signer_wrong try_sign(struct token_session *session,
				  const struct token_key *key,
				  const struct signer_request *req,
				  struct signer_reply *reply)
{
	enum signer_wrong wrong = session->module ? SIGNER_GOOD :
				  open_session(key->token, session);
	CK_RV rv;

	if (!wrong)
		wrong = have_key(session, key, req->key);
	if (wrong)
		return wrong;
	rv = sign(session, req, reply);
	return rv == CKR_OK ? SIGNER_GOOD :
	       failed("C_Sign", rv, SIGNER_NO_SIGNATURE);
}

/* A token that was away has forgotten its sessions: twice, the last anew. */
static enum signer_wrong sign_twice(struct token_session *session,
				    const struct token_key *key,
				    const struct signer_request *req,
				    struct signer_reply *reply)
{
	enum signer_wrong wrong;
	bool was_open;

	if (session->age != attlsd_modules_age)
		session->module = NULL;
	was_open = session->module;
	wrong = try_sign(session, key, req, reply);
	if (wrong)
		close_session(session);
	if (!wrong || !was_open)
		return wrong;
	wrong = try_sign(session, key, req, reply);
	if (wrong)
		close_session(session);
	return wrong;
}

enum signer_wrong token_sign(struct token_session *session,
			     const struct token_key *key,
			     const struct signer_request *req,
			     struct signer_reply *reply)
{
	enum signer_wrong wrong;

	do {
		pthread_rwlock_rdlock(&attlsd_modules_lock);
		wrong = sign_twice(session, key, req, reply);
		pthread_rwlock_unlock(&attlsd_modules_lock);
	} while ((wrong == SIGNER_NO_TOKEN || wrong == SIGNER_NO_MODULES) &&
		 load_again());
	return wrong;
}

void token_end(struct token_session *session)
{
	pthread_rwlock_rdlock(&attlsd_modules_lock);
	close_session(session);
	pthread_rwlock_unlock(&attlsd_modules_lock);
}
