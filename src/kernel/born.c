/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/born.h"

#include "kernel/bpf.h"
#include "kernel/ns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define FUNCTION	 "bpf_sk_assign_tcp_reqsk"
#define TCX_INGRESS	 46	  /* BPF_TCX_INGRESS, Linux 6.6 */
#define FIRST		 (1 << 3) /* BPF_F_BEFORE */
#define NO_DEVICE	 0x7fffffff
#define PENDING		 1
#define DETACH_REUSEPORT 68 /* SO_DETACH_REUSEPORT_BPF, Linux 5.3 */

/* struct bpf_tcp_req_attrs */
struct attrs {
	uint32_t rcv_tsval, rcv_tsecr;
	uint16_t mss;
	uint8_t rcv_wscale, snd_wscale, ecn_ok, wscale_ok, sack_ok, tstamp_ok, usec_ts_ok,
		reserved[3];
};

/* The only value of an array map that is mapped. */
struct window {
	uint32_t armed, mark;
	int32_t result;
	uint32_t at; /* of the TCP header in the packet */
	struct {
		uint16_t from, to;
		uint32_t seq, ack, none;
	} head;
	struct attrs attrs;
};

struct born {
	int map, sockets, program, choice, link;
	struct window *window;
};

static int make_maps(struct born *b)
{
	union bpf_attr s = {
		.map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4, .value_size = 4, .max_entries = 1};
	void *p = NULL;
	int r = bpf_window(sizeof(struct window), &b->map, &p);

	if (r < 0)
		return r;
	b->window = p;
	b->sockets = bpf_call(BPF_MAP_CREATE, &s); /* CONFIG_NET_SOCK_MSG */
	return b->sockets < 0
		       ? err_set(EOPNOTSUPP, "BPF cannot be used here: %s", g_strerror(errno))
		       : 0;
}

#define AT(field) offsetof(struct window, field)
#define END	  0x7fff /* where a jump leads: behind what was looked up is given back */
#define RELEASE	  0x7ffe

static int told(int program, const char *what)
{
	return program < 0 ? err_set(EOPNOTSUPP, "the kernel takes no BPF program that %s: %s",
				     what, g_strerror(errno))
			   : 0;
}

static void resolve(struct bpf_insn *v, int n)
{
	for (int i = 0; i < n; i++)
		if (BPF_CLASS(v[i].code) == BPF_JMP && v[i].off >= RELEASE)
			v[i].off = (int16_t)((v[i].off == END ? n - 2 : n - 4) - i - 1);
}

/* Lets everything pass (TCX_NEXT); of what it waits for it says what that is of. */
static int load_program(struct born *b, uint32_t function)
{
	struct bpf_insn v[] = {
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
		BPF_INSN(BPF_LD | BPF_DW | BPF_IMM, 7, BPF_PSEUDO_MAP_VALUE, 0, b->map),
		BPF_INSN(0, 0, 0, 0, 0),
		BPF_INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 7, AT(armed), 0),
		BPF_INSN(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, END, 0),
		BPF_INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 6, offsetof(struct __sk_buff, mark), 0),
		BPF_INSN(BPF_LDX | BPF_MEM | BPF_W, 3, 7, AT(mark), 0),
		BPF_INSN(BPF_JMP | BPF_JNE | BPF_X, 2, 3, END, 0),
		/* is it the segment? */
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0),
		BPF_INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 7, AT(at), 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 3, 10, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -16),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 12),
		BPF_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_load_bytes),
		BPF_INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, END, 0),
		BPF_INSN(BPF_LDX | BPF_MEM | BPF_DW, 2, 10, -16, 0),
		BPF_INSN(BPF_LDX | BPF_MEM | BPF_DW, 3, 7, AT(head), 0),
		BPF_INSN(BPF_JMP | BPF_JNE | BPF_X, 2, 3, END, 0),
		BPF_INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 10, -8, 0),
		BPF_INSN(BPF_LDX | BPF_MEM | BPF_W, 3, 7, AT(head.ack), 0),
		BPF_INSN(BPF_JMP | BPF_JNE | BPF_X, 2, 3, END, 0),
		BPF_INSN(BPF_ST | BPF_MEM | BPF_W, 7, 0, AT(armed), 0),
		/* whose connection it is to be */
		BPF_INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		BPF_INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, b->sockets),
		BPF_INSN(0, 0, 0, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		BPF_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		BPF_INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, END, 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 8, 0, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 0, 0, 0),
		BPF_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skc_to_tcp_sock),
		BPF_INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, RELEASE, 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 0, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 3, 7, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, AT(attrs)),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, sizeof(struct attrs)),
		BPF_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, (int32_t)function),
		BPF_INSN(BPF_STX | BPF_MEM | BPF_W, 7, 0, AT(result), 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 8, 0, 0), /* RELEASE */
		BPF_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_release),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, -1), /* END */
		BPF_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr a = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
			    .insns = (uintptr_t)v,
			    .insn_cnt = ARRAY_SIZE(v)};

	resolve(v, ARRAY_SIZE(v));
	b->program = bpf_load(&a);
	return told(b->program, "makes connections");
}

/* The kernel chooses again among those that share a port: inet_steal_sock(). */
static int load_choice(struct born *b)
{
	const struct bpf_insn v[] = {
		BPF_INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		BPF_INSN(BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_MAP_FD, 0, b->sockets),
		BPF_INSN(0, 0, 0, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 3, 10, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -4),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0),
		BPF_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_select_reuseport),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 0, 0, 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, SK_DROP),
		BPF_INSN(BPF_JMP | BPF_JNE | BPF_K, 1, 0, 1, 0),
		BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, SK_PASS),
		BPF_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr a = {.prog_type = BPF_PROG_TYPE_SK_REUSEPORT,
			    .insns = (uintptr_t)v,
			    .insn_cnt = ARRAY_SIZE(v)};

	b->choice = bpf_load(&a);
	return told(b->choice, "chooses a socket");
}

static int link_device(const struct born *b, unsigned device)
{
	union bpf_attr a = {.link_create = {.prog_fd = (uint32_t)b->program,
					    .target_ifindex = device,
					    .attach_type = TCX_INGRESS,
					    .flags = FIRST}};

	return bpf_call(BPF_LINK_CREATE, &a);
}

/* A device is one of the namespace of whoever calls. */
static int attach(void *arg, int *ret_fd)
{
	*ret_fd = link_device(arg, if_nametoindex("lo"));
	return *ret_fd < 0 ? err_errno("a BPF program at the loopback device") : 0;
}

int born_open(struct btf *types, int ns, struct born **ret)
{
	CLEANUP(born_close) struct born *b = g_new0(struct born, 1);
	uint32_t function;
	int r = btf_function(types, FUNCTION, &function);

	b->map = b->sockets = b->program = b->choice = b->link = -1;
	if (r == 0)
		r = make_maps(b);
	if (r == 0)
		r = load_program(b, function);
	if (r == 0)
		r = load_choice(b);
	/* tcx_link_attach(); without it EINVAL */
	if (r == 0 && link_device(b, NO_DEVICE) < 0 && errno != ENODEV)
		r = err_set(EOPNOTSUPP, "no BPF program can be at a device (CONFIG_NET_XGRESS)");
	if (r == 0 && ns >= 0)
		r = ns_run(&ns, 1, attach, b, &b->link);
	if (r == 0)
		*ret = g_steal_pointer(&b);
	return r;
}

/* The link goes with its descriptor, and the program with it. */
void born_close(struct born **b)
{
	if (!*b)
		return;
	cleanup_close(&(*b)->link);
	cleanup_close(&(*b)->program);
	cleanup_close(&(*b)->choice);
	cleanup_close(&(*b)->sockets);
	if ((*b)->window)
		munmap((*b)->window, sizeof(struct window));
	cleanup_close(&(*b)->map);
	g_free(g_steal_pointer(b));
}

static bool shares(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, &len) == 0 && on;
}

int born_listener(struct born *b, int fd)
{
	uint32_t key = 0;
	union bpf_attr a = {
		.map_fd = (uint32_t)b->sockets, .key = (uintptr_t)&key, .value = (uintptr_t)&fd};

	if (bpf_call(BPF_MAP_UPDATE_ELEM, &a) < 0)
		return err_errno("a listening socket into a BPF map");
	if (shares(fd) &&
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &b->choice, sizeof(b->choice)) < 0)
		return err_errno("SO_ATTACH_REUSEPORT_EBPF");
	return 0;
}

int born_listener_done(struct born *b, int fd)
{
	uint32_t key = 0;
	union bpf_attr a = {.map_fd = (uint32_t)b->sockets, .key = (uintptr_t)&key};
	int none = 0;

	if (shares(fd) && setsockopt(fd, SOL_SOCKET, DETACH_REUSEPORT, &none, sizeof(none)) < 0)
		return err_errno("SO_DETACH_REUSEPORT_BPF");
	return bpf_call(BPF_MAP_DELETE_ELEM, &a) < 0 ? err_errno("a BPF map") : 0;
}

int born_expect(struct born *b, const struct born_child *c, const struct born_segment *s)
{
	struct window *w = b->window;

	w->mark = s->mark;
	w->result = PENDING;
	w->at = sizeof(struct ether_header) + (s->family == AF_INET ? 20 : 40);
	w->head.from = htons(s->from);
	w->head.to = htons(s->to);
	w->head.seq = htonl(s->seq);
	w->head.ack = htonl(s->ack);
	w->attrs = (struct attrs){
		.rcv_tsval = c->their_time,
		.rcv_tsecr = c->our_time,
		.mss = c->mss,
		.rcv_wscale = c->rcv_wscale,
		.snd_wscale = c->snd_wscale,
		.ecn_ok = c->ecn,
		.wscale_ok = c->wscale,
		.sack_ok = c->sack,
		.tstamp_ok = c->timestamps,
	};
	__atomic_store_n(&w->armed, 1, __ATOMIC_SEQ_CST);
	return 0;
}

int born_done(struct born *b)
{
	int result = __atomic_load_n(&b->window->result, __ATOMIC_SEQ_CST);

	if (result == PENDING)
		return 1;
	return result < 0 ? err_set(-result,
				    "the kernel does not make it: %s (are tcp_timestamps, tcp_sack "
				    "and tcp_window_scaling what they were?)",
				    g_strerror(-result))
			  : 0;
}
