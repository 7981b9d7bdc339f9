/* What the machine can do: one thread, one epoll, no runtime. Replies are small enough that a send takes all of them. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[65536];

static void echo(int fd) {
  ssize_t n = recv(fd, buffer, sizeof buffer, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    close(fd);
    return;
  }
  for (ssize_t from = 0; from < n;) {
    ssize_t sent = send(fd, buffer + from, (size_t)(n - from), MSG_NOSIGNAL);
    if (sent > 0) from += sent;
    else if (errno != EAGAIN) break;
  }
}

int main(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), queue = epoll_create1(0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 511) != 0) return 1;
  getsockname(listener, (struct sockaddr *)&address, &length);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[512];
  epoll_ctl(queue, EPOLL_CTL_ADD, listener, &event);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int n = epoll_wait(queue, events, 512, -1);
    for (int i = 0; i < n; i++) {
      if (events[i].data.fd != listener) {
        echo(events[i].data.fd);
        continue;
      }
      int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
      if (fd < 0) continue;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      event.data.fd = fd;
      epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event);
    }
  }
}
