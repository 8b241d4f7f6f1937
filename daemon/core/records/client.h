/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: what the core knows of a session: the answers that it is owed (tickets), its limits, and the queue of its answers.
 *
 * A ticket is an answer that is owed. It is opened when a request comes. It is closed by exactly one answer, or when the
 * client goes. Calls and the daemon's own slow methods embed a ticket. A notification has a ticket, too, though no answer is
 * owed. It is carried out to its end also when its sender goes:
 *
 *   connected --client_hang_up--> requests are dropped --client_leave--> nothing more comes --the last notification ends--> over
 */
#ifndef CORE_CLIENT_H
#define CORE_CLIENT_H

#include "daemon/core/base/core.h"
#include "daemon/core/base/error.h"
#include "daemon/core/records/rights.h"
#include "proto/account.h"
#include "proto/rpc.h"

enum { CLIENT_METHOD_MEMO = 64, CLIENT_NAME = 64, CLIENT_KEPT = 16 /* descriptors that it may have */ };

struct abroad;
struct call;
struct method;
struct pool;

struct ticket {
	TAILQ_ENTRY(ticket) link; /* in client->tickets */
	struct client *client;    /* NULL: the ticket is closed */
	uint32_t msgid;
	bool notification; /* no answer is owed */
	bool fed;          /* its caller may feed it more items (objpool.feed) */
	bool remote;       /* other hosts have the request: see remote.h */
	/* Gives up what was begun for the ticket. `cause` is NULL: the client has gone, and the ticket is closed. Else the client
	 * has cancelled, and `cause` is the error to answer. */
	void (*abandoned)(struct ticket *ticket, const struct error *cause);
};

TAILQ_HEAD(ticket_list, ticket);
TAILQ_HEAD(flow_list, flow);
TAILQ_HEAD(lease_list, lease);
TAILQ_HEAD(direct_list, direct);

/* The last method string that the client called, and what it names. Pipelined calls name the same method again and again. */
struct client_memo {
	uint64_t epoch; /* core->epoch when it was looked up; 0: nothing has been looked up */
	size_t size;
	char text[CLIENT_METHOD_MEMO];
	struct pool *pool;
	struct method *method;
};

struct client {
	struct core *core;
	uint64_t id; /* the session's number; never used twice */
	struct ticket_list tickets;       /* of requests that have no answer */
	struct ticket_list notifications; /* tickets of notifications that have not ended */
	uint32_t notified;       /* how many tickets are in `notifications` */
	struct idmap inflight;   /* msgid -> ticket */
	uint64_t pending;        /* bytes of unanswered calls */
	uint64_t calls;          /* that it has made, of pools; those on direct channels are not among them */
	uint64_t *counter;       /* counts its calls, too; NULL: none does */
	struct rights *rights;   /* what it may do; NULL: everything. client_set_rights changes them */
	struct quota *quota;     /* counts its requests; NULL: none does. It is that of `rights`, but for instances */
	struct account *account; /* is charged all memory that the client's calls and answers take */
	bool refused;            /* its calls are refused: it held too much memory for too long */
	struct flow_list flows;  /* in which its calls wait */
	struct lease_list leases;
	uint32_t lease_count;
	struct direct_list directs; /* its direct channels, and those that have ended: see direct.h */
	struct sendq out;        /* answers */
	TAILQ_HEAD(, call) yielding; /* calls whose methods wait until the client reads: see yield.h */
	struct client_memo memo;
	uint64_t acts_for;       /* the gateway's: the client here that asks for an instance of any host by it; 0: it is nobody's */
	struct abroad *abroad;   /* as whom it asks other hosts: see daemon/supervisor/cluster; NULL: it has asked none */
	char name[CLIENT_NAME];  /* that it gave in hello */
	enum error_form error_form;
	void (*wrote)(struct client *client); /* is called when there are answers; NULL: ops->client_wrote, unless internal */
	bool internal;           /* it is no session, but an instance or a probe: ops->client_wrote is not called */
	bool is_one_call;        /* it is no session, but one call by HTTP, and lives as long */
	bool fds;                /* it takes descriptors */
	uint16_t fds_mark;       /* is in each value that stands for a descriptor: values of classes can't imitate it */
	struct sendq_kept kept;  /* the descriptors that it has been sent */
	bool stalled;            /* it doesn't read its answers: no task is started for it */
	bool recalled;           /* since then the tasks that no worker had begun were taken back */
	bool entered;            /* it has asked something: see client_enter */
	bool arriving;           /* it has connected, and asked nothing but hello: its first call is taken while the core drains */
	bool held;               /* it isn't read: what it has for other hosts waits to be sent */
	bool left;               /* client_leave was called: it sends nothing more */
	bool hung_up;            /* it can't be answered any more: only its notifications are accepted */
};

void client_init(struct client *client, struct core *core);

/* A client that is no session: its number is 0, and its memory is charged to the daemon's account. */
void client_init_own(struct client *client, struct core *core);

/* Gives the client other rights, from its next request on. */
void client_set_rights(struct client *client, struct rights *rights);

/* The client asks for the first time: it is one of its user's sessions from now on. 0; or -EBUSY with *error made: the user has
 * as many as it may. Does nothing when it has entered. */
int client_enter(struct client *client, struct error *error);

/* For client_hang_up: it is no session of its user any more. */
void client_exit(struct client *client);

/* A lease has been put into client->leases, or (false) taken out. */
void client_count_lease(struct client *client, bool comes);

/* Counts calls of pools that have begun. */
void client_count_calls(struct client *client, uint32_t count);

/* May another request be taken in? If not, the session is not read until it has fewer calls, or fewer unread answers. */
bool client_accepts(const struct client *client);

/* Answers have been written to client->out: has them sent, and notes if too many are unread. */
void client_wrote(struct client *client);

/* The client has shut down its sending side: cancels the calls that it would have fed. */
void client_on_input_end(struct client *client);

/* Are more than `limit` bytes of its answers unread? Fewer are allowed when it holds more than its share of the memory, and
 * most of that is answers. */
bool client_has_unread(const struct client *client, uint64_t limit);

/* Closes the tickets of the list, and gives up what was begun for them. */
void client_abandon(const struct ticket_list *tickets);

/* Opens the ticket for a request or notification. 0; -EEXIST: the msgid is in use; -ENOMEM. */
int ticket_open(struct ticket *ticket, struct client *client, const struct rpc *rpc,
		void (*abandoned)(struct ticket *, const struct error *));

/* Closes the ticket, whose answer has been written to client->out; client_wrote must follow. */
void ticket_detach(struct ticket *ticket);

/*
 * ticket_value writes the head of a successful response, and returns the queue to which the caller appends exactly one value.
 * NULL: no answer is owed. Then ticket_close closes the ticket; it may be called without ticket_value. The other functions
 * that answer write the whole response and close the ticket.
 */
struct sendq *ticket_value(struct ticket *ticket);
void ticket_close(struct ticket *ticket);

/* The same of a response whose error the caller appends. ticket_close_error must follow, also after NULL. */
struct sendq *ticket_error(struct ticket *ticket);
void ticket_close_error(struct ticket *ticket);

/* Is the memory of the daemon, or of the client's user, taken up, and does the client hold more than its share? client_say_greedy
 * makes the error that says so, and counts it. */
static inline bool client_is_greedy(const struct client *client)
{
	return account_is_greedy(client->account);
}
void client_say_greedy(struct client *client, enum ran ran, struct error *error);

/*
 * The client is to get `size` bytes that lie in a worker's block: charges the block to the client from now on, and returns the
 * block. NULL: the bytes are a small part of the block. They must be copied, so that they don't keep the whole block in
 * memory.
 */
struct block *client_claim(struct client *client, struct block *block, size_t size);

/* Writes the value of a task to `out`, for the client. A large bin or ext that lies in a file by itself goes by descriptor, if
 * the client takes descriptors. */
void client_put_value(struct client *client, struct sendq *out, struct block *block, struct span value);
void ticket_answer_span(struct ticket *ticket, struct block *block, struct span value);
void ticket_answer_error(struct ticket *ticket, const struct error *error);

/* The `abandoned` of a ticket whose work can't be undone: the work goes on, and nobody waits for it. */
void ticket_on_abandoned(struct ticket *ticket, const struct error *cause);

/* Answers a whole value that was packed for this client; takes the bytes. If packing has failed (sendq.h), the client's
 * session is closed. */
void ticket_answer_packed(struct ticket *ticket, struct sendq *packed);

/* Answers an error to a request that has no ticket. */
void client_answer_error(struct client *client, uint32_t msgid, const struct error *error);

#endif
