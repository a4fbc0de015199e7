/*
 * A vendor that costs next to nothing: one thread, epoll, answers made beforehand.
 *
 *     upstream PORT
 *
 * It speaks OpenAI's Chat Completions and is strict about what it is sent: anything but a POST to
 * /v1/chat/completions with the right model and one of three keys is refused, so that a gateway which drops something
 * shows up as errors and not as speed. How it answers is set by requests, and counts for those that begin afterwards:
 *
 *     GET /script?chunks=100&interval=10     events of a stream, and milliseconds between them (0: as fast as they go)
 *     GET /counts                            {"requests":…,"streams":…,"cut":…,"keys":[…,…,…]}
 *
 * Each event with content carries the time at which it was sent, "@<CLOCK_MONOTONIC, ns>@", so that load.c can tell how
 * long it was on its way.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MODEL "\"model\":\"gpt-4o-mini\""
#define KEY "authorization: Bearer sk-upstream-"
#define KEYS 3
#define MAX_FILES 65536
#define HIGH_WATER (256 * 1024)
#define EVENT "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1730000000," \
              "\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_bench\",\"choices\":"

typedef struct {
    char *at;
    size_t length, begin, room;
} Buffer;

typedef struct {
    int file, streaming, wants_usage, blocked;
    int event, events;
    long long interval, due;
    Buffer in, out;
} Connection;

static Connection *connections[MAX_FILES];
static int streaming[MAX_FILES], streams_open;
static int poller;
static int script_chunks = 100, script_interval_ms = 0;
static long long requests, streams, cut, by_key[KEYS];
static char whole_answer[4096];
static size_t whole_length;

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void append(Buffer *buffer, const void *bytes, size_t count)
{
    if (buffer->length + count + 1 > buffer->room) {
        buffer->room = 2 * (buffer->length + count) + 4096;
        buffer->at = realloc(buffer->at, buffer->room);
        if (!buffer->at)
            abort();
    }
    memcpy(buffer->at + buffer->length, bytes, count);
    buffer->length += count;
    buffer->at[buffer->length] = 0;
}

static void end_stream(Connection *c)
{
    c->streaming = 0;
    for (int i = 0; i < streams_open; i++)
        if (streaming[i] == c->file) {
            streaming[i] = streaming[--streams_open];
            return;
        }
}

static void drop(Connection *c)
{
    if (c->streaming) {
        cut++;
        end_stream(c);
    }
    connections[c->file] = NULL;
    close(c->file);
    free(c->in.at);
    free(c->out.at);
    free(c);
}

/* Send what waits. Returns -1 if the connection is gone, else how many bytes still wait. */
static long flush(Connection *c)
{
    while (c->out.begin < c->out.length) {
        ssize_t sent = send(c->file, c->out.at + c->out.begin, c->out.length - c->out.begin, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0) {
            drop(c);
            return -1;
        }
        c->out.begin += (size_t)sent;
    }
    long waiting = (long)(c->out.length - c->out.begin);
    if (!waiting)
        c->out.begin = c->out.length = 0;
    if (c->blocked != (waiting > 0)) {
        c->blocked = waiting > 0;
        struct epoll_event want = {EPOLLIN | (c->blocked ? EPOLLOUT : 0), {.fd = c->file}};
        epoll_ctl(poller, EPOLL_CTL_MOD, c->file, &want);
    }
    return waiting;
}

static long answer(Connection *c, const char *status, const char *json)
{
    char head[256];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", status,
                          strlen(json));
    append(&c->out, head, (size_t)length);
    append(&c->out, json, strlen(json));
    return flush(c);
}

/* The next event of a stream, in a chunk of its own as vendors send it. */
static void write_event(Connection *c)
{
    char text[1024], frame[1100];
    int last = c->event == c->events - 1, length;
    if (c->event == 0)
        length = sprintf(text, EVENT "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                                     "\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    else if (!last)
        length = sprintf(text, EVENT "[{\"index\":0,\"delta\":{\"content\":\"@%lld@ tok\"},\"logprobs\":null,"
                                     "\"finish_reason\":null}]}\n\n", now());
    else {
        length = sprintf(text, EVENT "[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n");
        if (c->wants_usage)
            length += sprintf(text + length, EVENT "[],\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":%d,"
                                                   "\"total_tokens\":%d}}\n\n", c->events - 2, c->events + 23);
        length += sprintf(text + length, "data: [DONE]\n\n");
    }
    int size = sprintf(frame, "%x\r\n", length);
    append(&c->out, frame, (size_t)size);
    append(&c->out, text, (size_t)length);
    append(&c->out, last ? "\r\n0\r\n\r\n" : "\r\n", last ? 7 : 2);
    c->event++;
}

/* Send the events that are due. One send for each: that is what a model that is writing looks like on the wire. */
static void go_on(Connection *c)
{
    while (c->due <= now()) {
        write_event(c);
        int done = c->event >= c->events;
        if (done)
            end_stream(c);
        long waiting = flush(c);
        if (waiting < 0 || done)
            return;
        if (waiting > HIGH_WATER) {
            c->due = now() + 1000000;
            return;
        }
        c->due += c->interval;
    }
}

static void begin_stream(Connection *c, int wants_usage)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                               "Cache-Control: no-cache\r\nx-request-id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n";
    append(&c->out, head, sizeof head - 1);
    streams++;
    c->streaming = 1;
    c->wants_usage = wants_usage;
    c->event = 0;
    c->events = script_chunks;
    c->interval = script_interval_ms * 1000000LL;
    c->due = now();
    streaming[streams_open++] = c->file;
    go_on(c);
}

static int has(const char *text, size_t length, const char *word)
{
    return memmem(text, length, word, strlen(word)) != NULL;
}

static int number_after(const char *text, const char *name, int otherwise)
{
    const char *found = strstr(text, name);
    return found ? atoi(found + strlen(name)) : otherwise;
}

static void serve_control(Connection *c, const char *head)
{
    char json[256];
    if (!strncmp(head, "GET /script?", 12)) {
        script_chunks = number_after(head, "chunks=", script_chunks);
        script_interval_ms = number_after(head, "interval=", script_interval_ms);
        answer(c, "200 OK", "{}");
    } else if (!strncmp(head, "GET /counts ", 12)) {
        snprintf(json, sizeof json, "{\"requests\":%lld,\"streams\":%lld,\"cut\":%lld,\"keys\":[%lld,%lld,%lld]}", requests,
                 streams, cut, by_key[0], by_key[1], by_key[2]);
        answer(c, "200 OK", json);
    } else
        answer(c, "404 Not Found", "{\"error\":{\"message\":\"no such path\",\"type\":\"invalid_request_error\"}}");
}

static void serve_chat(Connection *c, const char *head, const char *body, size_t length)
{
    const char *key = strcasestr(head, KEY);
    int number = key ? key[strlen(KEY)] - '1' : -1;
    requests++;
    if (number < 0 || number >= KEYS) {
        answer(c, "401 Unauthorized", "{\"error\":{\"message\":\"bad key\",\"type\":\"invalid_request_error\"}}");
        return;
    }
    by_key[number]++;
    if (!has(body, length, MODEL) && !has(body, length, "\"model\": \"gpt-4o-mini\"")) {
        answer(c, "404 Not Found", "{\"error\":{\"message\":\"no such model\",\"type\":\"invalid_request_error\"}}");
        return;
    }
    if (has(body, length, "\"stream\":true") || has(body, length, "\"stream\": true"))
        begin_stream(c, has(body, length, "\"include_usage\":true") || has(body, length, "\"include_usage\": true"));
    else {
        append(&c->out, whole_answer, whole_length);
        flush(c);
    }
}

/* Where a chunked body that begins at `from` ends, or 0 if it is not all there. `plain` takes what it holds. */
static size_t unchunk(Buffer *in, size_t from, Buffer *plain)
{
    size_t at = from;
    for (;;) {
        char *line = memmem(in->at + at, in->length - at, "\r\n", 2);
        if (!line)
            return 0;
        size_t size = strtoul(in->at + at, NULL, 16);
        at = (size_t)(line - in->at) + 2;
        if (at + size + 2 > in->length)
            return 0;
        append(plain, in->at + at, size);
        at += size + 2;
        if (!size)
            return at;
    }
}

/* Serve one request if it is complete. Returns the bytes that it took, or 0. */
static size_t serve(Connection *c)
{
    static Buffer plain;
    char *end = memmem(c->in.at, c->in.length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end - c->in.at) + 4;
    end[2] = 0;
    char *length = strcasestr(c->in.at, "\ncontent-length:");
    int chunked = strcasestr(c->in.at, "\ntransfer-encoding: chunked") != NULL;
    end[2] = '\r';
    size_t size = length ? strtoul(length + 16, NULL, 10) : 0, total = head + size;
    const char *body = c->in.at + head;
    if (chunked) {
        plain.length = 0;
        append(&plain, "", 0);
        if (!(total = unchunk(&c->in, head, &plain)))
            return 0;
        body = plain.at;
        size = plain.length;
    } else if (c->in.length < total)
        return 0;
    end[2] = 0;
    if (!strncmp(c->in.at, "POST /v1/chat/completions ", 26))
        serve_chat(c, c->in.at, body, size);
    else
        serve_control(c, c->in.at);
    return total;
}

static void serve_all(int file)
{
    Connection *c = connections[file];
    while (c && c->in.length && !c->streaming) {
        char *before = c->in.at;
        size_t taken = serve(c);
        if (!taken || connections[file] != c)
            return;
        memmove(before, before + taken, c->in.length - taken);
        c->in.length -= taken;
    }
}

static void receive(Connection *c)
{
    static char bytes[1 << 18];
    int file = c->file;
    for (;;) {
        ssize_t count = recv(file, bytes, sizeof bytes, 0);
        if (count > 0)
            append(&c->in, bytes, (size_t)count);
        if (count == 0 || (count < 0 && errno != EAGAIN)) {
            drop(c);
            return;
        }
        if (count < (ssize_t)sizeof bytes)
            break;
    }
    serve_all(file);
}

static void take(int listener)
{
    int file, on = 1;
    while ((file = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (file >= MAX_FILES) {
            close(file);
            continue;
        }
        setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        Connection *c = calloc(1, sizeof *c);
        if (!c)
            abort();
        c->file = file;
        connections[file] = c;
        struct epoll_event want = {EPOLLIN, {.fd = file}};
        epoll_ctl(poller, EPOLL_CTL_ADD, file, &want);
    }
}

static void make_whole_answer(void)
{
    char json[3000];
    int length = sprintf(json, "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1730000000,"
                               "\"model\":\"gpt-4o-mini-2024-07-18\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                               "\"assistant\",\"content\":\"");
    for (int i = 0; i < 9; i++)
        length += sprintf(json + length, "The quick brown fox jumps over the lazy dog while a gateway looks on. ");
    sprintf(json + length, "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
                           "\"prompt_tokens\":25,\"completion_tokens\":144,\"total_tokens\":169,"
                           "\"prompt_tokens_details\":{\"cached_tokens\":0}},\"system_fingerprint\":\"fp_bench\"}");
    whole_length = (size_t)snprintf(whole_answer, sizeof whole_answer,
                                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\n"
                                    "Content-Length: %zu\r\n\r\n%s", strlen(json), json);
}

static int listen_on(int port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) {
        perror("upstream");
        exit(1);
    }
    return listener;
}

/* Until the next event of any stream is due; NULL if none is open. */
static struct timespec *patience(struct timespec *wait)
{
    if (!streams_open)
        return NULL;
    long long first = now() + 1000000000LL, left;
    for (int i = 0; i < streams_open; i++)
        if (connections[streaming[i]]->due < first)
            first = connections[streaming[i]]->due;
    left = first - now();
    if (left < 0)
        left = 0;
    wait->tv_sec = left / 1000000000LL;
    wait->tv_nsec = left % 1000000000LL;
    return wait;
}

int main(int count, char **words)
{
    if (count != 2) {
        fprintf(stderr, "usage: upstream PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    make_whole_answer();
    int listener = listen_on(atoi(words[1]));
    poller = epoll_create1(0);
    struct epoll_event want = {EPOLLIN, {.fd = listener}}, found[512];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &want);
    for (;;) {
        struct timespec wait;
        int ready = epoll_pwait2(poller, found, 512, patience(&wait), NULL);
        for (int i = 0; i < ready; i++) {
            int file = found[i].data.fd;
            if (file == listener)
                take(listener);
            else if (connections[file] && (!(found[i].events & EPOLLOUT) || flush(connections[file]) >= 0))
                receive(connections[file]);
        }
        /* A stream that ends puts the last one into its place: downwards, none is passed over. */
        for (int i = streams_open - 1; i >= 0; i--) {
            if (i >= streams_open)
                continue;
            int file = streaming[i];
            go_on(connections[file]);
            if (connections[file] && !connections[file]->streaming)
                serve_all(file);
        }
    }
}
