/* SPDX-License-Identifier: Apache-2.0 */
/* nb responder URL SUBJECT QUEUE|- [asap]
 * nb rtt URL SUBJECT SIZE N [asap]       natsConnection_Request, one at a time
 * nb pipe URL SUBJECT SIZE DEPTH K SECONDS [asap]  K processes, each keeps DEPTH requests outstanding on one own inbox
 * nb gather URL SUBJECT SIZE N REPLIES [asap] publish once, take REPLIES answers from an own inbox
 */
#include "bench/multi.h"
#include <nats/nats.h>
#include <pthread.h>
static const char *url, *subject;
static size_t size;
static int depth, asap;
static void ok(natsStatus s, const char *what)
{
	if (s != NATS_OK) {
		fprintf(stderr, "%s: %s\n", what, natsStatus_GetText(s));
		exit(1);
	}
}
static natsConnection *con(int asap)
{
	natsOptions *o;
	natsConnection *c;
	ok(natsOptions_Create(&o), "options");
	natsOptions_SetURL(o, url);
	natsOptions_SetSendAsap(o, asap);
	ok(natsConnection_Connect(&c, o), "connect");
	return c;
}
static void on_request(natsConnection *c, natsSubscription *s, natsMsg *m, void *arg)
{
	(void)s, (void)arg;
	natsConnection_Publish(c, natsMsg_GetReply(m), natsMsg_GetData(m), natsMsg_GetDataLength(m));
	natsMsg_Destroy(m);
}
struct pipe {
	pthread_mutex_t lock;
	pthread_cond_t room;
	int out, waiting;
	struct multi_slot *me;
};
static void on_reply(natsConnection *c, natsSubscription *s, natsMsg *m, void *arg)
{
	struct pipe *p = arg;
	(void)c, (void)s;
	natsMsg_Destroy(m);
	p->me->count++;
	pthread_mutex_lock(&p->lock);
	p->out--;
	if (p->waiting && p->out <= depth / 2)
		pthread_cond_signal(&p->room);
	pthread_mutex_unlock(&p->lock);
}
static void loop_pipe(struct multi *m, int i, struct multi_slot *me, void *arg)
{
	(void)i, (void)arg;
	natsConnection *c = con(asap);
	natsInbox *inbox;
	natsSubscription *s;
	static struct pipe p = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, NULL};
	char *b = calloc(1, size);
	p.me = me;
	ok(natsInbox_Create(&inbox), "inbox");
	ok(natsConnection_Subscribe(&s, c, inbox, on_reply, &p), "subscribe");
	natsSubscription_SetPendingLimits(s, -1, -1);
	natsConnection_Flush(c);
	multi_begin(m, me);
	for (;;) {
		pthread_mutex_lock(&p.lock);
		while (p.out >= depth) {
			p.waiting = 1;
			pthread_cond_wait(&p.room, &p.lock);
			p.waiting = 0;
		}
		int k = depth - p.out;
		p.out += k;
		pthread_mutex_unlock(&p.lock);
		while (k--)
			ok(natsConnection_PublishRequest(c, subject, inbox, b, (int)size), "publish");
	}
}
int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	url = argv[2], subject = argv[3];
	if (!strcmp(argv[1], "responder")) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		natsConnection *c = con(argc > 5);
		natsSubscription *s;
		if (argv[4][0] == '-')
			ok(natsConnection_Subscribe(&s, c, subject, on_request, NULL), "subscribe");
		else
			ok(natsConnection_QueueSubscribe(&s, c, subject, argv[4], on_request, NULL), "subscribe");
		natsSubscription_SetPendingLimits(s, -1, -1);
		natsConnection_Flush(c);
		for (;;)
			pause();
	}
	size = (size_t)atol(argv[4]);
	if (!strcmp(argv[1], "pipe")) {
		char m[64];
		depth = atoi(argv[5]), asap = argc > 8;
		snprintf(m, sizeof m, "pipelined%s_depth%s_%sclients", asap ? "_asap" : "", argv[5], argv[6]);
		multi_run(m, atoi(argv[6]), atof(argv[7]), loop_pipe, NULL);
		return 0;
	}
	size_t n = (size_t)atol(argv[5]);
	uint64_t *t = malloc(n * sizeof *t);
	char *b = calloc(1, size);
	if (!strcmp(argv[1], "rtt")) {
		natsConnection *c = con(argc > 6);
		for (size_t i = 0; i < n + n / 10; i++) {
			natsMsg *r;
			uint64_t t0 = now_ns();
			ok(natsConnection_Request(&r, c, subject, b, (int)size, 5000), "request");
			t[i % n] = now_ns() - t0;
			natsMsg_Destroy(r);
		}
		result_rtt(argc > 6 ? "rtt_asap_" : "rtt_", t, n);
		result_total(n + n / 10);
	} else if (!strcmp(argv[1], "gather")) {
		int k = atoi(argv[6]);
		natsConnection *c = con(argc > 7);
		natsInbox *inbox;
		natsSubscription *s;
		ok(natsInbox_Create(&inbox), "inbox");
		ok(natsConnection_SubscribeSync(&s, c, inbox), "subscribe");
		for (size_t i = 0; i < n + n / 10; i++) {
			uint64_t t0 = now_ns();
			ok(natsConnection_PublishRequest(c, subject, inbox, b, (int)size), "publish");
			for (int j = 0; j < k; j++) {
				natsMsg *r;
				ok(natsSubscription_NextMsg(&r, s, 5000), "next");
				natsMsg_Destroy(r);
			}
			t[i % n] = now_ns() - t0;
		}
		result_rtt(argc > 7 ? "gather_asap_rtt_" : "gather_rtt_", t, n);
	}
	return 0;
}
