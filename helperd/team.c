// SPDX-License-Identifier: GPL-2.0-only
/*
 * A team is the workers of one policy.  There is the one that serves, and
 * for a while after a reload those that were replaced and end what they
 * have begun.
 */
#include "attlsd.h"
#include "store.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_TIME	10000		/* ms, for all workers to be ready */
#define PAUSE_TIME	2000		/* ms, for the answers to PAUSE */
#define DRAIN_TIME	70000		/* ms; workers take 60 s or 10 s */
#define STOP_TIME	12000
#define LOG_LINES	50		/* a second, of all workers together */
#define LOG_LINES_MIN	5
#define RETRY		1000		/* ms, after a failed fork */

struct attlsd_team {
	struct attlsd_team *next;
	struct attlsd_sets sets;
	struct keyring_signer signer;
	int64_t	signer_at;		/* ms, when the next is due; or 0 */
	bool	retired;
	int64_t	kill_at;		/* ms, when retired */
	unsigned int n;
	struct attlsd_child child[];
};

static struct attlsd_team *attlsd_teams;
static struct attlsd_identity attlsd_worker_id;
static unsigned int attlsd_team_size;
static int attlsd_device;

int attlsd_team_init(const struct attlsd_config *config, int device)
{
	int ret = attlsd_sandbox_identity(config->user, &attlsd_worker_id);

	attlsd_team_size = config->workers;
	attlsd_device = device;
	if (ret)
		attlsd_log(LOG_ERR, "user %s: %s", config->user ? config->user :
			   "attls", ret == -EPERM ?
			   "workers must not be root" : "no such user");
	return ret;
}

static int start(struct attlsd_team *team, struct attlsd_child *child)
{
	int signer = attlsd_signing_client(&team->signer, &team->sets);
	unsigned int lines = LOG_LINES / team->n;
	int ret;

	if (lines < LOG_LINES_MIN)
		lines = LOG_LINES_MIN;
	ret = attlsd_child_start(child, attlsd_device, signer,
				 &attlsd_worker_id, lines, &team->sets);
	if (signer >= 0)
		close(signer);
	return ret;
}

static int start_all(struct attlsd_team *team)
{
	int64_t deadline = attlsd_now() + START_TIME;
	int ret = attlsd_signing_start(&team->signer, &team->sets);

	for (unsigned int i = 0; i < team->n && !ret; i++)
		ret = start(team, &team->child[i]);
	for (unsigned int i = 0; i < team->n && !ret; i++)
		if (!attlsd_child_answered(&team->child[i], ATTLSD_MSG_READY,
					   deadline))
			ret = -ECHILD;
	return ret;
}

/* Returns when all workers are ready to accept; NULL when one was not. */
struct attlsd_team *attlsd_team_new(const struct attlsd_sets *sets)
{
	struct attlsd_team *team;
	int ret;

	team = calloc(1, sizeof(*team) +
		      attlsd_team_size * sizeof(team->child[0]));
	if (!team)
		return NULL;
	team->sets = *sets;
	team->n = attlsd_team_size;
	team->next = attlsd_teams;
	attlsd_teams = team;
	ret = start_all(team);
	if (!ret)
		return team;
	attlsd_log(LOG_ERR, "cannot start the workers: %s", strerror(-ret));
	attlsd_team_retire(team, ATTLSD_MSG_STOP);
	return NULL;
}

static void send_all(struct attlsd_team *team, char message)
{
	for (unsigned int i = 0; i < team->n; i++)
		attlsd_child_send(&team->child[i], message);
}

/*
 * After this no worker of @team takes a request: those of the generation
 * that comes now, it could not serve.  One that does not answer refuses
 * them, which is safe.
 */
void attlsd_team_pause(struct attlsd_team *team)
{
	int64_t deadline = attlsd_now() + PAUSE_TIME;

	send_all(team, ATTLSD_MSG_PAUSE);
	for (unsigned int i = 0; i < team->n; i++)
		attlsd_child_answered(&team->child[i], ATTLSD_MSG_PAUSE,
				      deadline);
}

void attlsd_team_resume(struct attlsd_team *team)
{
	send_all(team, ATTLSD_MSG_RESUME);
}

/* It is not restarted any more, and freed when its last worker has ended. */
void attlsd_team_retire(struct attlsd_team *team, char message)
{
	keyring_signer_leave(&team->signer);
	team->retired = true;
	team->kill_at = attlsd_now() + (message == ATTLSD_MSG_DRAIN ?
					DRAIN_TIME : STOP_TIME);
	send_all(team, message);
}

static void log_death(const char *who, pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		attlsd_log(LOG_ERR, "%s %d was killed by signal %d (%s)", who,
			   pid, WTERMSIG(status),
			   strsignal(WTERMSIG(status)));
	else
		attlsd_log(LOG_ERR, "%s %d ended with status %d", who, pid,
			   WEXITSTATUS(status));
}

static void ended(struct attlsd_team *team, struct attlsd_child *child,
		  int status)
{
	bool clean = WIFEXITED(status) && !WEXITSTATUS(status);

	if (!team->retired || !clean)
		log_death("worker", child->pid, status);
	attlsd_child_ended(child);
	/* Of an attack, perhaps; and what it was told to forget is lost. */
	if (!clean)
		attlsd_store_clear();
	if (!team->retired)
		attlsd_child_schedule(child);
}

/* Later and later, when it dies young or cannot be started. */
void attlsd_team_signer_later(struct attlsd_team *team)
{
	team->signer_at = attlsd_signing_lost();
}

static void signer_ended(struct attlsd_team *team, int status)
{
	if (!team->retired || status)
		log_death("signer", team->signer.pid, status);
	keyring_signer_leave(&team->signer);
	team->signer.pid = 0;
	if (!team->retired)
		attlsd_team_signer_later(team);
}

bool attlsd_team_lacks_signer(const struct attlsd_team *team)
{
	return team->signer_at && team->signer_at <= attlsd_now();
}

static void dispatch(pid_t pid, int status)
{
	struct attlsd_team *team;

	for (team = attlsd_teams; team; team = team->next) {
		if (team->signer.pid == pid) {
			signer_ended(team, status);
			return;
		}
		for (unsigned int i = 0; i < team->n; i++)
			if (team->child[i].pid == pid) {
				ended(team, &team->child[i], status);
				return;
			}
	}
}

static unsigned int alive(const struct attlsd_team *team)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < team->n; i++)
		n += !!team->child[i].pid;
	return n;
}

static void free_retired(void)
{
	struct attlsd_team **link = &attlsd_teams;

	while (*link) {
		struct attlsd_team *team = *link;

		if (team->retired && !alive(team)) {
			*link = team->next;
			free(team);
		} else {
			link = &team->next;
		}
	}
}

void attlsd_team_reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		dispatch(pid, status);
	free_retired();
}

static void restart(struct attlsd_team *team, struct attlsd_child *child)
{
	int ret = start(team, child);

	if (!ret) {
		attlsd_log(LOG_NOTICE, "worker %d started", child->pid);
		return;
	}
	attlsd_log(LOG_ERR, "cannot start a worker: %s", strerror(-ret));
	child->restart_at = attlsd_now() + RETRY;
}

/* Restarts whose time has come.  When the next is due, -1: none. */
static int64_t tend_serving(struct attlsd_team *team, int64_t now)
{
	int64_t next = team->signer_at ? team->signer_at : -1;

	for (unsigned int i = 0; i < team->n; i++) {
		struct attlsd_child *child = &team->child[i];

		if (!child->pid && child->restart_at <= now)
			restart(team, child);
		if (!child->pid && (next < 0 || child->restart_at < next))
			next = child->restart_at;
	}
	return next;
}

static void kill_all(const struct attlsd_team *team)
{
	for (unsigned int i = 0; i < team->n; i++)
		if (team->child[i].pid)
			kill(team->child[i].pid, SIGKILL);
}

/* A worker that does not end by itself hangs; its time is long over. */
static int64_t tend_retired(struct attlsd_team *team, int64_t now)
{
	if (now >= team->kill_at) {
		kill_all(team);
		team->kill_at = now + STOP_TIME;
	}
	return team->kill_at;
}

/* What time has made due.  ms until there is more, -1: never. */
int attlsd_team_tend(void)
{
	int64_t now = attlsd_now();
	struct attlsd_team *team;
	int64_t next = -1;

	for (team = attlsd_teams; team; team = team->next) {
		int64_t at = team->retired ? tend_retired(team, now) :
					     tend_serving(team, now);

		if (at >= 0 && (next < 0 || at < next))
			next = at;
	}
	if (next < 0)
		return -1;
	return next > now ? next - now : 0;
}

unsigned int attlsd_team_alive(void)
{
	const struct attlsd_team *team;
	unsigned int n = 0;

	for (team = attlsd_teams; team; team = team->next)
		n += alive(team);
	return n;
}
