/*
 * Load from one thread, as many requests at a time as there are connections, each beginning when the last has ended.
 *
 *     load PORT CONNECTIONS WARMUP SECONDS RAMP CHUNKS REQUEST…
 *
 * Each REQUEST is a file with the bytes of a whole HTTP request; a connection sends them in turn. "########" in one
 * stands for the number of the connection. CHUNKS is how many events with content an answer has to have (0: it is no
 * stream); their stamps, "@<CLOCK_MONOTONIC, ns>@", tell how long each was on its way. Connections begin spread over
 * RAMP seconds. What ends within the WARMUP seconds is counted in "all", but is in no other figure.
 *
 * Prints one line of JSON, times in microseconds. An answer that is no 200, is cut, or has not CHUNKS events is "failed".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

#define BITS 12
#define STEPS (1 << BITS)
#define NUMBER "########"

/* Times in nanoseconds, 4,096 steps to each power of two: within 0.03 % of what they were. Fewer would not do: what a
 * gateway adds to a stream whose events are 10 ms apart is a few hundredths of when its first content comes. */
typedef struct {
    unsigned long long count[64 * STEPS], all;
} Times;

enum Part { HEAD, BODY, SIZE, CHUNK, AFTER_CHUNK, TRAILER };

typedef struct {
    char *bytes, *number;
    size_t length;
} Request;

typedef struct {
    int file, index, turn, busy, closes, blocked;
    enum Part part;
    char head[16384];
    size_t head_length, sent;
    Request *request;
    int status, until_close, begun, line, in_stamp;
    unsigned long long left;
    long long started, stamp, events;
} Connection;

static struct sockaddr_in server;
static Request *known_requests;
static int request_count, poller, chunks_wanted;
static long long measured_from, ends;
static Times latency, first_byte, first_content, transit;
static unsigned long long all, all_chunks, completed, failed, chunks, reconnects;
static char refusal[400];

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void note(Times *times, long long value)
{
    unsigned long long v = value < 1 ? 1 : (unsigned long long)value;
    int power = 63 - __builtin_clzll(v);
    times->count[power < BITS ? v : (unsigned long long)(power - BITS + 1) * STEPS + ((v >> (power - BITS)) & (STEPS - 1))]++;
    times->all++;
}

static double quantile(const Times *times, double share)
{
    unsigned long long seen = 0, wanted = (unsigned long long)(share * (double)times->all);
    for (int i = 0; i < 64 * STEPS; i++)
        if ((seen += times->count[i]) > wanted) {
            if (i < STEPS)
                return i / 1e3;
            int power = i / STEPS + BITS - 1;
            return (double)((1ULL << power) + ((unsigned long long)(i % STEPS) << (power - BITS)) +
                            (1ULL << (power - BITS)) / 2) / 1e3;
        }
    return 0;
}

static void watch(Connection *c, int operation)
{
    struct epoll_event want = {EPOLLIN | (c->blocked ? EPOLLOUT : 0), {.ptr = c}};
    epoll_ctl(poller, operation, c->file, &want);
}

static void open_connection(Connection *c)
{
    int on = 1;
    c->file = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->file, (void *)&server, sizeof server)) {
        perror("load: connect");
        exit(1);
    }
    fcntl(c->file, F_SETFL, O_NONBLOCK);
    c->blocked = 0;
    watch(c, EPOLL_CTL_ADD);
}

static void send_rest(Connection *c)
{
    while (c->sent < c->request->length) {
        ssize_t count = send(c->file, c->request->bytes + c->sent, c->request->length - c->sent, MSG_NOSIGNAL);
        if (count < 0)
            break; /* full, or gone: then the read that follows says so */
        c->sent += (size_t)count;
    }
    int blocked = c->sent < c->request->length;
    if (blocked != c->blocked) {
        c->blocked = blocked;
        watch(c, EPOLL_CTL_MOD);
    }
}

static void begin(Connection *c)
{
    c->request = &known_requests[c->turn++ % request_count];
    if (c->request->number) { /* it stands in the head, which is sent at once: others may write there afterwards */
        char digits[16];
        snprintf(digits, sizeof digits, "%08u", (unsigned)c->index);
        memcpy(c->request->number, digits, sizeof NUMBER - 1);
    }
    c->part = HEAD;
    c->head_length = c->sent = 0;
    c->status = c->until_close = c->begun = c->line = c->in_stamp = c->closes = 0;
    c->events = 0;
    c->busy = 1;
    c->started = now();
    send_rest(c);
}

static void finish(Connection *c, int whole, long long at)
{
    int good = whole && c->status == 200 && (!chunks_wanted || c->events == chunks_wanted);
    c->busy = 0;
    all++;
    if (!good)
        failed++;
    if (good && at >= measured_from) {
        completed++;
        note(&latency, at - c->started);
    }
}

static void again(Connection *c)
{
    close(c->file);
    reconnects++;
    open_connection(c);
    begin(c);
}

static void read_stamps(Connection *c, const char *text, size_t length, long long at)
{
    const char *end = text + length;
    while (text < end) {
        if (!c->in_stamp) {
            if (!(text = memchr(text, '@', (size_t)(end - text))))
                return;
            c->in_stamp = 1;
            c->stamp = 0;
        } else if (*text >= '0' && *text <= '9')
            c->stamp = c->stamp * 10 + (*text - '0');
        else {
            c->in_stamp = 0;
            if (*text == '@' && c->stamp > 1000000) {
                if (!c->events++ && at >= measured_from)
                    note(&first_content, at - c->started);
                all_chunks++;
                if (at >= measured_from) {
                    chunks++;
                    note(&transit, at - c->stamp);
                }
            }
        }
        text++;
    }
}

static void read_content(Connection *c, const char *text, size_t length, long long at)
{
    if (!c->begun && length) {
        c->begun = 1;
        if (at >= measured_from && c->status == 200)
            note(&first_byte, at - c->started);
        if (c->status != 200 && !refusal[0])
            for (size_t i = 0; i < length && i < sizeof refusal - 1; i++)
                refusal[i] = text[i] < ' ' || text[i] == '"' || text[i] == '\\' ? ' ' : text[i];
    }
    if (chunks_wanted)
        read_stamps(c, text, length, at);
}

/* Take the head if it is there. Returns how many bytes of the piece belong to it, or -1 if it is none. */
static long read_head(Connection *c, const char *text, size_t length)
{
    size_t room = sizeof c->head - 1 - c->head_length, before = c->head_length, count = length < room ? length : room;
    memcpy(c->head + before, text, count);
    c->head_length += count;
    c->head[c->head_length] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end)
        return count == length ? (long)count : -1;
    end[2] = 0;
    c->status = atoi(c->head + 9);
    char *said = strcasestr(c->head, "\ncontent-length:");
    c->left = said ? strtoull(said + 16, NULL, 10) : 0;
    c->closes = strcasestr(c->head, "\nconnection: close") != NULL;
    int in_chunks = strcasestr(c->head, "\ntransfer-encoding: chunked") != NULL;
    c->until_close = !in_chunks && !said;
    c->part = in_chunks ? SIZE : BODY;
    if (in_chunks)
        c->left = 0;
    return (long)((size_t)(end - c->head) + 4 - before);
}

/* One byte of what is around the chunks. Returns 1 at the end of the answer. */
static int read_frame(Connection *c, char byte)
{
    if (c->part == SIZE && byte == '\n') {
        c->part = c->left ? CHUNK : TRAILER;
        c->line = 0;
    } else if (c->part == SIZE && byte != '\r') {
        int digit = byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10;
        c->left = c->left * 16 + (unsigned)digit;
    } else if (c->part == AFTER_CHUNK && byte == '\n')
        c->part = SIZE;
    else if (c->part == TRAILER && byte == '\n') {
        if (!c->line)
            return 1;
        c->line = 0;
    } else if (c->part == TRAILER && byte != '\r')
        c->line++;
    return 0;
}

/* Returns 1 when the answer is complete, -1 when it is none, else 0. */
static int read_answer(Connection *c, const char *text, size_t length, long long at)
{
    while (length) {
        size_t count = 1;
        if (c->part == HEAD) {
            long head = read_head(c, text, length);
            if (head < 0)
                return -1;
            count = (size_t)head;
            if (c->part == BODY && !c->left && !c->until_close)
                return 1;
        } else if (c->part == BODY || c->part == CHUNK) {
            count = !c->until_close && c->left < length ? (size_t)c->left : length;
            read_content(c, text, count, at);
            if (!c->until_close && !(c->left -= count)) {
                if (c->part == BODY)
                    return 1;
                c->part = AFTER_CHUNK;
            }
        } else if (read_frame(c, *text))
            return 1;
        text += count;
        length -= count;
    }
    return 0;
}

static void receive(Connection *c)
{
    static char bytes[1 << 18];
    ssize_t count = recv(c->file, bytes, sizeof bytes, 0);
    long long at = now();
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0) {
        if (c->busy)
            finish(c, c->until_close && c->part == BODY, at);
        again(c);
        return;
    }
    int state = c->busy ? read_answer(c, bytes, (size_t)count, at) : -1;
    if (!state)
        return;
    if (c->busy)
        finish(c, state > 0, at);
    if (state < 0 || c->closes || c->sent < c->request->length)
        again(c);
    else
        begin(c);
}

static void load_request(Request *request, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    fseek(file, 0, SEEK_END);
    request->length = (size_t)ftell(file);
    rewind(file);
    request->bytes = malloc(request->length + 1);
    if (!request->bytes || fread(request->bytes, 1, request->length, file) != request->length)
        abort();
    fclose(file);
    char *end = memmem(request->bytes, request->length, "\r\n\r\n", 4);
    request->number = end ? memmem(request->bytes, (size_t)(end - request->bytes), NUMBER, sizeof NUMBER - 1) : NULL;
}

static void report(double seconds, double everything)
{
    printf("{\"requests\":%llu,\"rate\":%.2f,\"p50\":%.1f,\"p99\":%.1f,\"first_byte_p50\":%.1f,\"first_byte_p99\":%.1f,"
           "\"first_content_p50\":%.1f,\"first_content_p99\":%.1f,"
           "\"chunks\":%llu,\"chunk_rate\":%.1f,\"transit_p50\":%.1f,\"transit_p99\":%.1f,\"failed\":%llu,"
           "\"reconnects\":%llu,\"all\":%llu,\"all_chunks\":%llu,\"all_seconds\":%.3f,\"refusal\":\"%s\"}\n",
           completed, (double)completed / seconds, quantile(&latency, .5), quantile(&latency, .99),
           quantile(&first_byte, .5), quantile(&first_byte, .99), quantile(&first_content, .5),
           quantile(&first_content, .99), chunks, (double)chunks / seconds,
           quantile(&transit, .5), quantile(&transit, .99), failed, reconnects, all, all_chunks, everything, refusal);
}

int main(int count, char **words)
{
    if (count < 8) {
        fprintf(stderr, "usage: load PORT CONNECTIONS WARMUP SECONDS RAMP CHUNKS REQUEST...\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int number = atoi(words[2]);
    double warmup = atof(words[3]), seconds = atof(words[4]), ramp = atof(words[5]);
    chunks_wanted = atoi(words[6]);
    request_count = count - 7;
    known_requests = calloc((size_t)request_count, sizeof *known_requests);
    for (int i = 0; i < request_count; i++)
        load_request(&known_requests[i], words[7 + i]);
    server.sin_family = AF_INET;
    server.sin_port = htons((unsigned short)atoi(words[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    poller = epoll_create1(0);
    Connection *every = calloc((size_t)number, sizeof *every);
    if (!every || !known_requests)
        abort();
    for (int i = 0; i < number; i++) {
        every[i].index = every[i].turn = i;
        open_connection(&every[i]);
    }
    long long began = now(), at;
    measured_from = began + (long long)(warmup * 1e9);
    ends = measured_from + (long long)(seconds * 1e9);
    for (int begun = 0; (at = now()) < ends;) {
        long long next = ends;
        while (begun < number && (next = began + (long long)(ramp * 1e9 * begun / number)) <= at)
            begin(&every[begun++]);
        if (begun == number)
            next = ends;
        struct timespec wait = {(next - at) / 1000000000LL, (next - at) % 1000000000LL};
        struct epoll_event found[512];
        int ready = epoll_pwait2(poller, found, 512, &wait, NULL);
        for (int i = 0; i < ready; i++) {
            Connection *c = found[i].data.ptr;
            if (found[i].events & EPOLLOUT)
                send_rest(c);
            receive(c);
        }
    }
    at = now();
    report((double)(at - measured_from) / 1e9, (double)(at - began) / 1e9);
    return 0;
}
