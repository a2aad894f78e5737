// A small app to deploy: it answers over HTTP and TLS who it is and what Berth gave it. README.md
// lists its pages and settings.
//
// One thread and one epoll loop, which sleeps while nobody asks. On SIGTERM it takes no new
// connections, answers the requests it has begun to read, and exits with 0 within kDrainMax.

#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Above this, connections wait in the kernel's queue.
constexpr size_t kConnectionsMax = 4000;
// Of a request's head, and of its body, which is read and ignored.
constexpr size_t kRequestBytesMax = size_t{16} * 1024;
// How long a connection may be silent.
constexpr seconds kIdleMax{60};
// How long requests may take to finish after SIGTERM.
constexpr seconds kDrainMax{4};

std::string Setting(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "hello: %s\n", what.c_str());
  std::exit(1);
}

// Standard output is a pipe in a container, which C would fill before it writes.
void Print(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

// The secrets by name, read anew for each request as a new version may have come. Nothing where
// the file cannot be read. Its lines are NAME="VALUE" with \n, \", \\ and \$ escaped, or start
// with #.
std::optional<std::map<std::string, std::string>> Secrets() {
  std::ifstream file(Setting("BERTH_SECRETS_FILE", "/run/berth/secrets.env"));
  if (!file) return std::nullopt;
  std::map<std::string, std::string> secrets;
  for (std::string line; std::getline(file, line);) {
    const size_t equals = line.find('=');
    if (line.empty() || line[0] == '#' || equals == std::string::npos) continue;
    std::string_view quoted = std::string_view(line).substr(equals + 1);
    if (quoted.size() >= 2 && quoted.front() == '"' && quoted.back() == '"') {
      quoted = quoted.substr(1, quoted.size() - 2);
    }
    std::string value;
    for (size_t i = 0; i < quoted.size(); ++i) {
      const bool escaped = quoted[i] == '\\' && i + 1 < quoted.size();
      if (escaped) ++i;
      value += escaped && quoted[i] == 'n' ? '\n' : quoted[i];
    }
    secrets[line.substr(0, equals)] = value;
  }
  return secrets;
}

std::string InstanceName() {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return Setting("BERTH_INSTANCE", host);
}

struct Response {
  int status = 200;
  std::string body;
};

Response Greeting() {
  std::string body = "Hello from Berth.\n";
  body += "instance: " + InstanceName() + "\n";
  body += "version: " + Setting("HELLO_VERSION", "1") + "\n";
  const auto secrets = Secrets();
  body += secrets.has_value() ? "secrets:" : "secrets: no file";
  if (secrets.has_value() && secrets->empty()) body += " none";
  if (secrets.has_value()) {
    for (const auto& [name, value] : *secrets) body += " " + name;
  }
  return {200, body + "\n"};
}

Response SecretLength(std::string_view query) {
  constexpr std::string_view kName = "name=";
  if (query.substr(0, kName.size()) != kName) return {400, "ask for ?name=NAME\n"};
  const auto secrets = Secrets();
  if (!secrets.has_value()) return {404, "there is no secrets file\n"};
  const auto secret = secrets->find(std::string(query.substr(kName.size())));
  if (secret == secrets->end()) return {404, "there is no such secret\n"};
  return {200, std::to_string(secret->second.size()) + "\n"};
}

Response Answer(std::string_view method, std::string_view target) {
  if (method != "GET" && method != "HEAD") return {405, "only GET and HEAD\n"};
  const size_t question = target.find('?');
  const std::string_view path = target.substr(0, question);
  if (path == "/") return Greeting();
  if (path == "/healthz") {
    if (Setting("HELLO_UNHEALTHY", "") == "1") return {503, "unhealthy\n"};
    return {200, "ok\n"};
  }
  if (path == "/secret-length") {
    return SecretLength(question == target.npos ? "" : target.substr(question + 1));
  }
  return {404, "there is no such page\n"};
}

const char* Phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    default:
      return "Error";
  }
}

// One request as far as hello understands requests.
struct Request {
  std::string_view method;
  std::string_view target;
  size_t body_bytes = 0;
  bool keep_alive = true;
  // Not 0: it is answered so, and the connection closes, since what follows is not understood.
  int refused = 0;
};

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

void ParseHeader(std::string_view line, Request* request) {
  const size_t colon = line.find(':');
  if (colon == line.npos) {
    request->refused = 400;
    return;
  }
  const std::string name = Lower(line.substr(0, colon));
  std::string value = Lower(line.substr(colon + 1));
  value.erase(0, value.find_first_not_of(" \t"));
  value.erase(value.find_last_not_of(" \t") + 1);
  if (name == "connection" && value.find("close") != value.npos) request->keep_alive = false;
  if (name == "connection" && value.find("keep-alive") != value.npos) request->keep_alive = true;
  if (name == "transfer-encoding") request->refused = 501;
  if (name == "content-length") {
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), request->body_bytes);
    if (error != std::errc() || end != value.data() + value.size()) request->refused = 400;
    if (request->body_bytes > kRequestBytesMax) request->refused = 413;
  }
}

// `head` is everything before the empty line.
Request ParseHead(std::string_view head) {
  Request request;
  size_t line_end = head.find("\r\n");
  const std::string_view line = head.substr(0, line_end);
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  const std::string_view version = last == line.npos ? "" : line.substr(last + 1);
  if (first == last || (version != "HTTP/1.1" && version != "HTTP/1.0")) {
    request.refused = 400;
    return request;
  }
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  request.keep_alive = version == "HTTP/1.1";
  while (line_end != head.npos) {
    const size_t begin = line_end + 2;
    line_end = head.find("\r\n", begin);
    ParseHeader(head.substr(begin, line_end - begin), &request);
  }
  return request;
}

// A request's text as a log line may hold it.
std::string Printable(std::string_view text) {
  std::string printable(text.substr(0, 200));
  std::replace_if(
      printable.begin(), printable.end(), [](char c) { return c <= ' ' || c > '~'; }, '?');
  return printable;
}

// Whom the loop wakes for.
struct Source {
  enum class Kind { kSignals, kListener, kTlsListener, kConnection };
  Kind kind;
  int fd;
};

struct Connection : Source {
  // Null over plain HTTP.
  SSL* ssl = nullptr;
  std::string input;
  std::string output;
  bool asked = false;
  bool closes = false;
  Clock::time_point last_active;
  std::list<Connection>::iterator self;
};

enum class Progress { kDone, kBlocked, kClosed };

class Server {
 public:
  Server(int signals, int http_listener, int tls_listener, SSL_CTX* tls)
      : epoll_(epoll_create1(EPOLL_CLOEXEC)),
        signals_{Source::Kind::kSignals, signals},
        http_{Source::Kind::kListener, http_listener},
        tls_{Source::Kind::kTlsListener, tls_listener},
        tls_context_(tls) {
    if (epoll_ < 0) Fail(std::string("no epoll: ") + std::strerror(errno));
    Watch(&signals_, EPOLL_CTL_ADD, EPOLLIN);
    Watch(&http_, EPOLL_CTL_ADD, EPOLLIN);
    Watch(&tls_, EPOLL_CTL_ADD, EPOLLIN);
  }

  void Run() {
    while (!drain_deadline_.has_value() ||
           (!connections_.empty() && Clock::now() < *drain_deadline_)) {
      std::array<epoll_event, 64> events;
      const int count = epoll_wait(epoll_, events.data(), events.size(), WaitMilliseconds());
      if (count < 0 && errno != EINTR) Fail(std::string("epoll_wait: ") + std::strerror(errno));
      for (int i = 0; i < count; ++i) Handle(static_cast<Source*>(events[i].data.ptr));
      // After the events, since they point to connections that these two may close.
      CloseSilent();
      if (drain_asked_ && !drain_deadline_.has_value()) Drain();
    }
  }

 private:
  void Watch(Source* source, int operation, uint32_t interest) const {
    epoll_event event = {};
    event.events = interest;
    event.data.ptr = source;
    if (epoll_ctl(epoll_, operation, source->fd, &event) != 0) {
      Fail(std::string("epoll_ctl: ") + std::strerror(errno));
    }
  }

  // Until the first deadline; -1, for ever, where there is none.
  int WaitMilliseconds() const {
    std::optional<Clock::time_point> deadline = drain_deadline_;
    if (!connections_.empty()) {
      const Clock::time_point silent = connections_.front().last_active + kIdleMax;
      deadline = deadline.has_value() ? std::min(*deadline, silent) : silent;
    }
    if (!deadline.has_value()) return -1;
    const auto wait = std::chrono::ceil<milliseconds>(*deadline - Clock::now());
    return static_cast<int>(std::max(wait, milliseconds(0)).count());
  }

  void Handle(Source* source) {
    switch (source->kind) {
      case Source::Kind::kSignals:
        return TakeSignal();
      case Source::Kind::kListener:
        return Accept(http_.fd, nullptr);
      case Source::Kind::kTlsListener:
        return Accept(tls_.fd, tls_context_);
      case Source::Kind::kConnection:
        return Serve(static_cast<Connection*>(source));
    }
  }

  void Accept(int listener, SSL_CTX* tls) {
    while (connections_.size() < kConnectionsMax) {
      const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)) return;
      if (fd < 0 && connections_.empty()) Fail(std::string("accept4: ") + std::strerror(errno));
      // Out of descriptors: the next connection to close makes room.
      if (fd < 0) break;
      Connection& connection = connections_.emplace_back();
      connection.kind = Source::Kind::kConnection;
      connection.fd = fd;
      connection.self = std::prev(connections_.end());
      connection.last_active = Clock::now();
      if (tls != nullptr) {
        connection.ssl = SSL_new(tls);
        SSL_set_fd(connection.ssl, fd);
        SSL_set_accept_state(connection.ssl);
      }
      Watch(&connection, EPOLL_CTL_ADD, EPOLLIN);
    }
    Listen(false);
  }

  // With as many connections as there may be, a listener that is watched would never let the loop
  // sleep.
  void Listen(bool enabled) {
    if (listening_ == enabled || drain_deadline_.has_value()) return;
    listening_ = enabled;
    Watch(&http_, EPOLL_CTL_MOD, enabled ? EPOLLIN : 0u);
    Watch(&tls_, EPOLL_CTL_MOD, enabled ? EPOLLIN : 0u);
  }

  void Close(Connection* connection) {
    if (connection->ssl != nullptr) {
      // One try to say goodbye; clients tell a truncated answer from a whole one by it.
      if (SSL_is_init_finished(connection->ssl)) SSL_shutdown(connection->ssl);
      SSL_free(connection->ssl);
    }
    close(connection->fd);
    connections_.erase(connection->self);
    Listen(true);
  }

  void CloseSilent() {
    const Clock::time_point oldest = Clock::now() - kIdleMax;
    while (!connections_.empty() && connections_.front().last_active <= oldest) {
      Close(&connections_.front());
    }
  }

  void TakeSignal() {
    signalfd_siginfo signal;
    if (read(signals_.fd, &signal, sizeof(signal)) == sizeof(signal)) drain_asked_ = true;
  }

  void Drain() {
    Print("stopping");
    // Whoever is in the queue already would see a reset otherwise.
    Accept(http_.fd, nullptr);
    Accept(tls_.fd, tls_context_);
    drain_deadline_ = Clock::now() + kDrainMax;
    close(http_.fd);
    close(tls_.fd);
    for (auto it = connections_.begin(); it != connections_.end();) {
      Connection* connection = &*it++;
      // A connection that was never used is about to be: its request is on its way.
      if (connection->asked && connection->input.empty() && connection->output.empty()) {
        Close(connection);
      }
    }
  }

  void Serve(Connection* connection) {
    connection->last_active = Clock::now();
    connections_.splice(connections_.end(), connections_, connection->self);

    while (true) {
      Progress progress = Progress::kDone;
      if (!connection->output.empty()) {
        progress = Write(connection);
      } else if (connection->closes) {
        progress = Progress::kClosed;
      } else if (!TakeRequest(connection)) {
        progress = Read(connection);
      }
      if (progress == Progress::kBlocked) return;
      if (progress == Progress::kClosed) return Close(connection);
    }
  }

  // Moves one whole request from the input to an answer in the output; false where there is none.
  bool TakeRequest(Connection* connection) const {
    const size_t head_bytes = connection->input.find("\r\n\r\n");
    Request request;
    if (head_bytes == std::string::npos) {
      if (connection->input.size() < kRequestBytesMax) return false;
      request.refused = 413;
    } else {
      request = ParseHead(std::string_view(connection->input).substr(0, head_bytes));
    }
    const size_t bytes = head_bytes + 4 + request.body_bytes;
    if (request.refused == 0 && connection->input.size() < bytes) return false;

    const Response response = request.refused != 0 ? Response{request.refused, "not understood\n"}
                                                   : Answer(request.method, request.target);
    connection->asked = true;
    connection->closes = request.refused != 0 || !request.keep_alive || drain_deadline_.has_value();
    connection->output = "HTTP/1.1 " + std::to_string(response.status) + " " +
                         Phrase(response.status) + "\r\nContent-Type: text/plain\r\n" +
                         "Content-Length: " + std::to_string(response.body.size()) + "\r\n" +
                         (connection->closes ? "Connection: close\r\n" : "") + "\r\n";
    if (request.method != "HEAD") connection->output += response.body;
    Print(Printable(request.method) + " " + Printable(request.target) + " " +
          std::to_string(response.status));
    connection->input.erase(0, request.refused != 0 ? std::string::npos : bytes);
    return true;
  }

  Progress Read(Connection* connection) const {
    std::array<char, 4096> buffer;
    if (connection->ssl == nullptr) {
      const ssize_t count = recv(connection->fd, buffer.data(), buffer.size(), 0);
      if (count > 0) connection->input.append(buffer.data(), static_cast<size_t>(count));
      return AfterSystemCall(connection, count, EPOLLIN);
    }
    ERR_clear_error();
    const int count = SSL_read(connection->ssl, buffer.data(), buffer.size());
    if (count > 0) connection->input.append(buffer.data(), static_cast<size_t>(count));
    return AfterTls(connection, count);
  }

  Progress Write(Connection* connection) const {
    if (connection->ssl == nullptr) {
      const ssize_t count =
          send(connection->fd, connection->output.data(), connection->output.size(), MSG_NOSIGNAL);
      if (count > 0) connection->output.erase(0, static_cast<size_t>(count));
      return AfterSystemCall(connection, count, EPOLLOUT);
    }
    ERR_clear_error();
    const int count = SSL_write(connection->ssl, connection->output.data(),
                                static_cast<int>(connection->output.size()));
    if (count > 0) connection->output.erase(0, static_cast<size_t>(count));
    return AfterTls(connection, count);
  }

  Progress AfterSystemCall(Connection* connection, ssize_t count, uint32_t interest) const {
    if (count > 0) return Progress::kDone;
    if (count < 0 && errno == EINTR) return Progress::kDone;
    if (count == 0 || errno != EAGAIN) return Progress::kClosed;
    Watch(connection, EPOLL_CTL_MOD, interest);
    return Progress::kBlocked;
  }

  Progress AfterTls(Connection* connection, int count) const {
    if (count > 0) return Progress::kDone;
    const int error = SSL_get_error(connection->ssl, count);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return Progress::kClosed;
    Watch(connection, EPOLL_CTL_MOD, error == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
    return Progress::kBlocked;
  }

  const int epoll_;
  Source signals_;
  Source http_;
  Source tls_;
  SSL_CTX* const tls_context_;
  bool listening_ = true;
  // The one that was silent longest comes first.
  std::list<Connection> connections_;
  bool drain_asked_ = false;
  // Set once draining has begun.
  std::optional<Clock::time_point> drain_deadline_;
};

// From here on SIGTERM and SIGINT arrive on the descriptor, also for process 1 of a container, for
// which the kernel would drop them otherwise.
int TakeSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) Fail(std::string("signalfd: ") + std::strerror(errno));
  return fd;
}

// Listens for IPv6 and IPv4, or where the kernel has no IPv6, for IPv4 alone. `port` becomes the
// one that was bound: 0 asks for any.
int ListenOn(uint16_t* port) {
  const int enabled = 1;
  const int disabled = 0;
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_storage address = {};
  socklen_t size = sizeof(sockaddr_in6);
  if (fd >= 0) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &disabled, sizeof(disabled));
    auto* any = reinterpret_cast<sockaddr_in6*>(&address);
    any->sin6_family = AF_INET6;
    any->sin6_port = htons(*port);
  } else {
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    size = sizeof(sockaddr_in);
    auto* any = reinterpret_cast<sockaddr_in*>(&address);
    any->sin_family = AF_INET;
    any->sin_port = htons(*port);
  }
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &enabled, sizeof(enabled));
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(fd, SOMAXCONN) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    Fail("cannot listen on port " + std::to_string(*port) + ": " + std::strerror(errno));
  }
  // The port stands at the same place in both families' addresses.
  *port = ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  return fd;
}

uint16_t PortSetting(const char* name, uint16_t otherwise) {
  const std::string text = Setting(name, std::to_string(otherwise));
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) {
    Fail(std::string(name) + " is not a port: " + text);
  }
  return port;
}

void AddName(GENERAL_NAMES* names, const std::string& name) {
  ASN1_IA5STRING* text = ASN1_IA5STRING_new();
  ASN1_STRING_set(text, name.data(), static_cast<int>(name.size()));
  GENERAL_NAME* general = GENERAL_NAME_new();
  GENERAL_NAME_set0_value(general, GEN_DNS, text);
  sk_GENERAL_NAME_push(names, general);
}

// A certificate that vouches for itself, for the names in the comma-separated list.
X509* MakeCertificate(EVP_PKEY* key, const std::string& names) {
  X509* certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), 1);
  // An hour back, for clients whose clocks are behind.
  constexpr long kHourSeconds = 3600;
  constexpr long kYearSeconds = kHourSeconds * 24 * 365;
  X509_gmtime_adj(X509_getm_notBefore(certificate), -kHourSeconds);
  X509_gmtime_adj(X509_getm_notAfter(certificate), kYearSeconds);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("hello"), -1, -1, 0);
  X509_set_issuer_name(certificate, subject);
  GENERAL_NAMES* alternatives = GENERAL_NAMES_new();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find(',', begin), names.size());
    if (end > begin) AddName(alternatives, names.substr(begin, end - begin));
    begin = end + 1;
  }
  X509_add1_ext_i2d(certificate, NID_subject_alt_name, alternatives, 0, X509V3_ADD_DEFAULT);
  GENERAL_NAMES_free(alternatives);
  if (X509_sign(certificate, key, EVP_sha256()) == 0) Fail("cannot sign a certificate");
  return certificate;
}

SSL_CTX* MakeTlsContext(const std::string& names) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  EVP_PKEY* key = EVP_EC_gen("P-256");
  if (context == nullptr || key == nullptr) Fail("OpenSSL cannot start");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  X509* certificate = MakeCertificate(key, names);
  if (SSL_CTX_use_certificate(context, certificate) != 1 ||
      SSL_CTX_use_PrivateKey(context, key) != 1) {
    Fail("cannot use its own certificate");
  }
  X509_free(certificate);
  EVP_PKEY_free(key);
  return context;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--exit") {
    std::fprintf(stderr, "hello: exits with %s, as it was told to\n", argv[2]);
    return std::atoi(argv[2]);
  }
  if (argc != 1) Fail("usage: hello [--exit CODE]");

  std::signal(SIGPIPE, SIG_IGN);
  const int signals = TakeSignals();
  uint16_t http_port = PortSetting("HELLO_HTTP_PORT", 8080);
  uint16_t tls_port = PortSetting("HELLO_TLS_PORT", 8443);
  const int http_listener = ListenOn(&http_port);
  const int tls_listener = ListenOn(&tls_port);
  SSL_CTX* tls = MakeTlsContext(Setting("HELLO_TLS_NAMES", "localhost"));
  Server server(signals, http_listener, tls_listener, tls);
  Print("hello " + Setting("HELLO_VERSION", "1") + " as " + InstanceName() + ": http on port " +
        std::to_string(http_port) + ", tls on port " + std::to_string(tls_port));
  server.Run();
  Print("stopped");
  return 0;
}
