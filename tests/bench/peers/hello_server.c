/* The hello service as people first write it: accept, greet, close; one after the other, backlog 3.
   Closing with bytes unread makes the kernel send a reset: that is the fault it is measured for.
   usage: hello_server PORT */

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

int main(int argc, char **argv) {
    int on = 1, off = 0;
    int listener = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 anywhere = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};

    must(listener, "socket");
    anywhere.sin6_port = htons(argc > 1 ? atoi(argv[1]) : 1848);
    must(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
    must(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), "IPV6_V6ONLY");
    must(bind(listener, (struct sockaddr *)&anywhere, sizeof anywhere), "bind");
    must(listen(listener, 3), "listen");
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) {
            perror("accept");
            continue;
        }
        if (write(client, "hello\n", 6) < 0)
            perror("write");
        close(client);
    }
}
