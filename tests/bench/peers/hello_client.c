/* Ask for hellos as fast as they come, some connections at a time, each read to its end; the last ones are waited for,
   so that none is left in the server's queue for the next client.
   usage: hello_client PORT CONNECTIONS MILLISECONDS [speak]
   With `speak` the client says a line as soon as it is connected, as `echo | nc` does.
   Prints: hellos ended cleanly, ended by a reset, ended otherwise, seconds. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 256, ADDRESSES = 16, PATIENCE_SECONDS = 3 };

static struct { int fd, got, spoke; } calls[MOST];
static long clean, resets, others, begun;
static int queue, port, speaks;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* Several addresses of this host, so that no pair of ports comes back while the kernel remembers it. */
static void call(int n) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = n};

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + begun++ % ADDRESSES);
    calls[n].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    calls[n].got = calls[n].spoke = 0;
    if (connect(calls[n].fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        perror("connect");
        exit(1);
    }
    epoll_ctl(queue, EPOLL_CTL_ADD, calls[n].fd, &event);
}

/* Return 1 when the call has ended. */
static int ended(int n) {
    char bytes[64];

    for (;;) {
        ssize_t count = read(calls[n].fd, bytes, sizeof bytes);
        if (count > 0) {
            calls[n].got += count;
            continue;
        }
        if (count < 0 && errno == EAGAIN)
            return 0;
        if (count == 0 && calls[n].got == 6)
            clean++;
        else if (count < 0 && errno == ECONNRESET)
            resets++;
        else
            others++;
        return 1;
    }
}

int main(int argc, char **argv) {
    struct epoll_event events[MOST];
    double began = now(), end;
    int connections, open;

    if (argc < 4 || (connections = atoi(argv[2])) < 1 || connections > MOST) {
        fprintf(stderr, "usage: hello_client PORT CONNECTIONS(1-%d) MILLISECONDS [speak]\n", MOST);
        return 2;
    }
    port = atoi(argv[1]);
    end = began + atoi(argv[3]) / 1e3;
    speaks = argc > 4 && !strcmp(argv[4], "speak");
    queue = epoll_create1(0);
    for (open = 0; open < connections; open++)
        call(open);
    while (open && now() < end + PATIENCE_SECONDS) {
        int ready = epoll_wait(queue, events, MOST, 100);
        for (int i = 0; i < ready; i++) {
            int n = events[i].data.u32;
            if (speaks && !calls[n].spoke && events[i].events & EPOLLOUT) {
                calls[n].spoke = 1;
                if (send(calls[n].fd, "hi\n", 3, MSG_NOSIGNAL) < 0 && errno == EAGAIN)
                    calls[n].spoke = 0;
            }
            if (ended(n)) {
                close(calls[n].fd);
                if (now() < end)
                    call(n);
                else
                    open--;
            }
        }
    }
    printf("%ld %ld %ld %.6f\n", clean, resets, others, now() - began);
    return 0;
}
