/*
 * The load of the echo comparison: N connections that play ping-pong, and what that took.
 *
 * One thread and one epoll, level-triggered, so that a round trip costs this side one recv, one send and its share of an
 * epoll_wait: less than any server pays. Every connection has one message under way (a closed loop), so the mean latency is
 * the number of connections over the rate, whatever the server does; what differs is how evenly it is spread.
 *
 * A reply counts for the window in which it arrives. Pings that are under way when the window closes count with their age,
 * which is less than their latency: else a server that answers some connections and forgets the others would look best. The
 * first reply of each connection, which includes its accept, has a distribution of its own. The server's processor time is that of its whole process, all threads, read from its clock when the window
 * opens and when it closes.
 *
 * Each message starts with its connection's number and its own: a server that mixes two up is found out.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  PER_ADDRESS = 20000,    /* connections from one source address: of 28 000 ports, some are in use or resting */
  CONNECTING = 64,        /* that may be under way at once, fewer than any server's backlog */
  PACE = 150000,          /* ns between two connects, where all wait for each other: no server's backlog overflows */
  HEADER = 8,
  EVENTS = 512,
  SUB = 7,                /* bits of a latency that are kept: an error of less than 1 % */
  BUCKETS = (64 - SUB) << SUB,
};

static const int64_t SECOND = 1000000000;

typedef struct {
  int fd;
  uint32_t number, message;
  uint32_t sent, received;  /* of the message that is under way */
  bool connected, answered, wants_out;
  int64_t began, pinged;
} Connection;

typedef struct {
  uint64_t count;
  int64_t max;
  uint64_t buckets[BUCKETS];
} Histogram;

static Connection *all;
static uint32_t total, opened, connecting, connected, answered;
static size_t size = 64;
static bool joining;         /* each pings once it is connected, and does not wait for the others */
static int64_t pace, next_connect;
static unsigned char *payload, *scratch;
static int queue;
static struct sockaddr_in server;

static bool measuring;
static uint64_t replies;
static Histogram latency, first;
static int64_t clock_began, clock_connected;

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(1);
}

static int64_t read_clock(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time) != 0) fail("cannot read a clock: %s", strerror(errno));
  return time.tv_sec * SECOND + time.tv_nsec;
}

static int64_t now(void) { return read_clock(CLOCK_MONOTONIC); }

/* ---- Latencies: exact up to 2^SUB ns, then 2^SUB buckets for each power of two ---- */

static unsigned bucket_of(uint64_t value) {
  int shift = value >> SUB == 0 ? 0 : 63 - __builtin_clzll(value) - SUB;
  return ((unsigned)shift << SUB) + (unsigned)(value >> shift);
}

static double middle_of(unsigned bucket) {
  unsigned shift = bucket >> SUB;
  if (shift > 0) shift--;
  return ((double)(bucket - (shift << SUB)) + 0.5) * (double)(1ULL << shift);
}

static void record(Histogram *histogram, int64_t value) {
  histogram->count++;
  if (value > histogram->max) histogram->max = value;
  histogram->buckets[bucket_of((uint64_t)value)]++;
}

/* In ms. */
static double percentile(const Histogram *histogram, double percent) {
  uint64_t wanted = (uint64_t)(percent / 100 * (double)histogram->count), seen = 0;
  for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
    seen += histogram->buckets[bucket];
    if (seen > wanted) return middle_of(bucket) / 1e6;
  }
  return (double)histogram->max / 1e6;
}

/* ---- One connection ---- */

static void await(Connection *connection, bool out, int operation) {
  struct epoll_event event = {.events = out ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = connection};
  if (epoll_ctl(queue, operation, connection->fd, &event) != 0) fail("cannot epoll_ctl: %s", strerror(errno));
  connection->wants_out = out;
}

static void go_on_sending(Connection *connection) {
  memcpy(payload, &connection->number, 4);
  memcpy(payload + 4, &connection->message, 4);
  while (connection->sent < size) {
    ssize_t n = send(connection->fd, payload + connection->sent, size - connection->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) fail("cannot send on connection %u: %s", connection->number, strerror(errno));
    connection->sent += (uint32_t)n;
  }
  bool out = connection->sent < size;
  if (out != connection->wants_out) await(connection, out, EPOLL_CTL_MOD);
}

static void ping(Connection *connection, int64_t time) {
  connection->pinged = time;
  connection->message++;
  connection->sent = connection->received = 0;
  go_on_sending(connection);
}

static void begin(Connection *connection) {
  int one = 1;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("cannot open socket %u: %s", connection->number, strerror(errno));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  struct sockaddr_in source = {
    .sin_family = AF_INET,
    .sin_addr.s_addr = htonl(INADDR_LOOPBACK + connection->number / PER_ADDRESS),
  };
  if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0) fail("cannot bind: %s", strerror(errno));
  connection->fd = fd;
  connection->began = now();
  if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0 && errno != EINPROGRESS) {
    fail("cannot connect %u: %s", connection->number, strerror(errno));
  }
  connecting++;
  await(connection, true, EPOLL_CTL_ADD);
}

static void has_connected(Connection *connection) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) fail("cannot connect %u: %s", connection->number, strerror(error));
  connection->connected = true;
  connecting--;
  if (++connected == total) clock_connected = now();
  await(connection, false, EPOLL_CTL_MOD);
  if (joining) ping(connection, now());
}

static void has_answered(Connection *connection) {
  int64_t time = now();
  if (measuring) {
    replies++;
    record(&latency, time - connection->pinged);
  }
  if (!connection->answered) {
    connection->answered = true;
    answered++;
    record(&first, time - (joining ? connection->began : connection->pinged));
  }
  ping(connection, time);
}

static void receive(Connection *connection) {
  ssize_t n = recv(connection->fd, scratch, size - connection->received, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) fail("cannot receive on connection %u: %s", connection->number, strerror(errno));
  if (n == 0) fail("connection %u was closed", connection->number);
  memcpy(payload, &connection->number, 4);
  memcpy(payload + 4, &connection->message, 4);
  if (memcmp(scratch, payload + connection->received, (size_t)n) != 0) {
    fail("connection %u got what it did not send", connection->number);
  }
  connection->received += (uint32_t)n;
  if (connection->received == size) has_answered(connection);
}

/* What all processes of the machine have used so far, in seconds of processor time. */
static double machine_time(void) {
  unsigned long long user, nice, system, idle, iowait, irq, softirq, steal = 0;
  FILE *file = fopen("/proc/stat", "r");
  if (file == NULL) return 0;
  int read = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait, &irq,
                    &softirq, &steal);
  fclose(file);
  return read < 7 ? 0 : (double)(user + nice + system + irq + softirq + steal) / (double)sysconf(_SC_CLK_TCK);
}

/* Handles events until a moment, or until all are connected. */
static void turn(int64_t until, bool for_connects) {
  struct epoll_event events[EVENTS];
  while (!(for_connects && connected == total)) {
    int64_t time = now();
    if (time >= until) return;
    int64_t left = until - time;
    for (; opened < total && connecting < CONNECTING && next_connect <= time; next_connect += pace) {
      begin(&all[opened++]);
    }
    if (opened < total && connecting < CONNECTING && next_connect - time < left) left = next_connect - time;
    struct timespec wait = {.tv_sec = left / SECOND, .tv_nsec = left % SECOND};
    int n = epoll_pwait2(queue, events, EVENTS, &wait, NULL);
    if (n < 0 && errno != EINTR) fail("cannot epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
      Connection *connection = events[i].data.ptr;
      if (!connection->connected) {
        has_connected(connection);
        continue;
      }
      if (connection->wants_out && (events[i].events & EPOLLOUT)) go_on_sending(connection);
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(connection);
    }
  }
}

static void print(const char *name, const Histogram *histogram) {
  printf("\"%s\":{\"count\":%llu,\"p50\":%.4f,\"p99\":%.4f,\"p999\":%.4f,\"max\":%.4f}", name,
         (unsigned long long)histogram->count, percentile(histogram, 50), percentile(histogram, 99),
         percentile(histogram, 99.9), (double)histogram->max / 1e6);
}

int main(int count, char **arguments) {
  if (count != 8 || (strcmp(arguments[7], "joining") != 0 && strcmp(arguments[7], "together") != 0)) {
    fail("usage: load PORT PID CONNECTIONS BYTES WARM-UP-MS MS joining|together");
  }
  server.sin_family = AF_INET;
  server.sin_port = htons((uint16_t)atoi(arguments[1]));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  pid_t pid = atoi(arguments[2]);
  total = (uint32_t)atoi(arguments[3]);
  size = (size_t)atoi(arguments[4]);
  int64_t warm_up = atoi(arguments[5]) * (SECOND / 1000), window = atoi(arguments[6]) * (SECOND / 1000);
  joining = arguments[7][0] == 'j';
  pace = joining ? 0 : PACE;
  if (total == 0 || size < HEADER) fail("at least one connection, and messages of %d bytes, are wanted", HEADER);

  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur != RLIM_INFINITY && files.rlim_cur < total + 16) {
    fail("%u connections need more descriptors than the %llu that `ulimit -Hn` allows", total,
         (unsigned long long)files.rlim_cur);
  }
  clockid_t server_clock;
  if (clock_getcpuclockid(pid, &server_clock) != 0) fail("there is no process %d", pid);

  all = calloc(total, sizeof *all);
  payload = malloc(size);
  scratch = malloc(size);
  queue = epoll_create1(EPOLL_CLOEXEC);
  if (all == NULL || payload == NULL || scratch == NULL || queue < 0) fail("out of memory");
  for (uint32_t i = 0; i < total; i++) all[i].number = i;
  for (size_t i = 0; i < size; i++) payload[i] = (unsigned char)(i * 31 + 7);

  clock_began = next_connect = now();
  turn(clock_began + 60 * SECOND, true);
  if (connected < total) fail("only %u of %u connections were made in a minute", connected, total);
  if (!joining) {
    for (uint32_t i = 0; i < total; i++) ping(&all[i], now());
  }
  turn(now() + warm_up, false);

  int64_t server_before = read_clock(server_clock), own_before = read_clock(CLOCK_PROCESS_CPUTIME_ID);
  double machine_before = machine_time();
  int64_t opens = now();
  measuring = true;
  turn(opens + window, false);
  int64_t closes = now();
  double used = (double)(read_clock(server_clock) - server_before) / 1e3;
  double own = (double)(read_clock(CLOCK_PROCESS_CPUTIME_ID) - own_before) / 1e9;
  double seconds = (double)(closes - opens) / 1e9;
  double others = machine_time() - machine_before - used / 1e6 - own;
  for (uint32_t i = 0; i < total; i++) {
    if (all[i].pinged != 0) record(&latency, closes - all[i].pinged);
  }

  printf("{\"replies\":%llu,\"seconds\":%.4f,\"rate\":%.1f,\"serverMicros\":%.4f,\"serverShare\":%.4f,\"loadShare\":%.4f,"
         "\"othersShare\":%.4f,",
         (unsigned long long)replies, seconds, (double)replies / seconds, used / (double)(replies > 0 ? replies : 1),
         used / 1e6 / seconds, own / seconds, others > 0 ? others / seconds : 0);
  print("latency", &latency);
  putchar(',');
  print("firstReply", &first);
  printf(",\"unanswered\":%u,\"connectMs\":%.3f}\n", total - answered,
         (double)(clock_connected - clock_began) / 1e6);
  return 0;
}
