#include "edge/data_plane.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/clock/system_clock.h"
#include "edge/client_hello_builder.h"
#include "edge/proxy_protocol.h"
#include "edge/test_sockets.h"

namespace berth::edge {
namespace {

using testing::Eventually;
using testing::HelloFor;
using testing::HelloMessage;
using testing::InRecords;
using testing::ReservedPort;
using testing::TestSocket;
using testing::TestUpstream;

using Connections = std::vector<std::pair<std::string, size_t>>;

constexpr absl::string_view kUnrecognizedName("\x15\x03\x03\x00\x02\x02\x70", 7);
constexpr absl::string_view kDecodeError("\x15\x03\x03\x00\x02\x02\x32", 7);
constexpr size_t kMiB = 1 << 20;

DataPlaneOptions TwoLoops() {
  DataPlaneOptions options;
  options.loops = 2;
  return options;
}

Route::Upstream UpstreamAt(const std::string& id, const TestUpstream& upstream) {
  return {id, upstream.address()};
}

// A data plane on a port of its own, and what its tables are made of.
struct Edge {
  explicit Edge(const DataPlaneOptions& options = TwoLoops())
      : plane(DataPlane::Create(options, &clock, &registry).value()) {}

  Route TlsRoute(const std::string& id, const std::string& hostname,
                 std::vector<Route::Upstream> upstreams) const {
    Route route = TcpRoute(id, std::move(upstreams));
    route.hostname = hostname;
    return route;
  }
  Route TcpRoute(const std::string& id, std::vector<Route::Upstream> upstreams) const {
    Route route;
    route.id = id;
    route.port = port.number();
    route.upstreams = std::move(upstreams);
    return route;
  }
  void Apply(const std::vector<Route>& routes) {
    table = RouteTable::Build(routes, &registry).value();
    plane->Apply(table);
  }
  TestSocket Connect() const { return TestSocket::ConnectTo(port.number()); }
  uint64_t Counted(Count count) const { return plane->Counts()[count]; }
  bool EventuallyCounts(Count count, uint64_t value) const {
    return Eventually([&] { return Counted(count) == value; });
  }

  SystemClock clock;
  ReservedPort port;
  UpstreamRegistry registry;
  std::unique_ptr<DataPlane> plane;
  std::shared_ptr<const RouteTable> table;
};

// Sends `request` and reads it back through an upstream that is accepted from and echoes once.
std::string EchoThrough(TestSocket* client, TestSocket* upstream, const std::string& request) {
  client->Send(request);
  upstream->Send(upstream->Read(request.size()));
  return client->Read(request.size());
}

// Bytes that show when some are lost, doubled or out of order.
std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  uint32_t state = 1;
  for (char& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

TEST_CASE("a TLS connection goes to the upstream of its host name, unchanged",
          "[edge][data-plane]") {
  Edge edge;
  TestUpstream shop;
  TestUpstream blog;
  edge.Apply({edge.TlsRoute("shop", "shop.example", {UpstreamAt("i-shop", shop)}),
              edge.TlsRoute("blog", "*.blog.example", {UpstreamAt("i-blog", blog)})});

  TestSocket to_shop = edge.Connect();
  const std::string hello = HelloFor("Shop.example") + "early data";
  to_shop.Send(hello);
  TestSocket at_shop = shop.Accept();
  CHECK(at_shop.Read(hello.size()) == hello);
  CHECK(EchoThrough(&to_shop, &at_shop, "finished") == "finished");

  TestSocket to_blog = edge.Connect();
  to_blog.Send(HelloFor("my.blog.example"));
  TestSocket at_blog = blog.Accept();
  CHECK(at_blog.Read(HelloFor("my.blog.example").size()) == HelloFor("my.blog.example"));

  CHECK_FALSE(shop.HasConnection());
  CHECK(edge.Counted(Count::kAccepted) == 2);
  CHECK(edge.Counted(Count::kRouted) == 2);
  CHECK(edge.registry.ConnectionsPerUpstream() == Connections{{"i-blog", 1}, {"i-shop", 1}});
}

TEST_CASE("a hello that arrives byte by byte in many records is routed", "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  edge.Apply({edge.TlsRoute("r", "shop.example", {UpstreamAt("i", upstream)})});
  const std::string hello = InRecords(
      HelloMessage({.extensions = {{{0, testing::ServerNameExtension("shop.example")}}}}), 10);
  TestSocket client = edge.Connect();
  for (const char byte : hello) client.Send(absl::string_view(&byte, 1));
  CHECK(upstream.Accept().Read(hello.size()) == hello);
}

TEST_CASE("a hello as long as is allowed is routed", "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  edge.Apply({edge.TlsRoute("r", "shop.example", {UpstreamAt("i", upstream)})});
  const std::string hello = InRecords(
      HelloMessage({.extensions = {{{51, std::string(kHelloBytesMax - 200, 'k')},
                                    {0, testing::ServerNameExtension("shop.example")}}}}));
  TestSocket client = edge.Connect();
  client.Send(hello);
  CHECK(upstream.Accept().Read(hello.size()) == hello);
}

TEST_CASE("an unknown host name is answered with an alert and an end", "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  edge.Apply({edge.TlsRoute("r", "shop.example", {UpstreamAt("i", upstream)})});
  TestSocket unknown = edge.Connect();
  unknown.Send(HelloFor("other.example") + "more, which is never read");
  CHECK(unknown.ReadToEnd() == kUnrecognizedName);
  TestSocket unnamed = edge.Connect();
  unnamed.Send(InRecords(HelloMessage({})));
  CHECK(unnamed.ReadToEnd() == kUnrecognizedName);
  CHECK(edge.Counted(Count::kNoRoute) == 2);
  CHECK_FALSE(upstream.HasConnection());
}

TEST_CASE("a malformed or too large hello is answered with an alert and an end",
          "[edge][data-plane]") {
  Edge edge;
  edge.Apply({edge.TlsRoute("r", "shop.example", {})});
  TestSocket malformed = edge.Connect();
  malformed.Send(HelloFor("192.0.2.1"));
  CHECK(malformed.ReadToEnd() == kDecodeError);
  TestSocket large = edge.Connect();
  large.Send(InRecords(HelloMessage({}), 1));
  CHECK(large.ReadToEnd() == kDecodeError);
  CHECK(edge.Counted(Count::kHelloMalformed) == 1);
  CHECK(edge.Counted(Count::kHelloTooLarge) == 1);
}

TEST_CASE("what is not TLS goes by the port, where it has a route without host name",
          "[edge][data-plane]") {
  Edge edge;
  TestUpstream tls;
  TestUpstream rest;
  edge.Apply({edge.TlsRoute("tls", "shop.example", {UpstreamAt("i-tls", tls)})});
  TestSocket refused = edge.Connect();
  refused.Send("GET / HTTP/1.1\r\n\r\n");
  CHECK(refused.ReadToEnd().empty());
  CHECK(edge.Counted(Count::kNotTls) == 1);

  edge.Apply({edge.TlsRoute("tls", "shop.example", {UpstreamAt("i-tls", tls)}),
              edge.TcpRoute("rest", {UpstreamAt("i-rest", rest)})});
  for (const std::string& bytes :
       {std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8), HelloFor("other.example")}) {
    TestSocket client = edge.Connect();
    client.Send(bytes);
    CHECK(rest.Accept().Read(bytes.size()) == bytes);
  }
  TestSocket named = edge.Connect();
  named.Send(HelloFor("shop.example"));
  CHECK(tls.Accept().Read(1) == "\x16");
}

TEST_CASE("on a TCP port the upstream may speak first", "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i", upstream)})});
  TestSocket client = edge.Connect();
  TestSocket server = upstream.Accept();
  server.Send("220 ready");
  CHECK(client.Read(9) == "220 ready");
  CHECK(EchoThrough(&client, &server, "HELO") == "HELO");
}

TEST_CASE("a route with PROXY protocol tells the upstream who connects", "[edge][data-plane]") {
  const std::string ip = GENERATE("127.0.0.1", "::1");
  Edge edge;
  TestUpstream upstream(ip);
  Route route = edge.TlsRoute("route-1", "shop.example", {UpstreamAt("i", upstream)});
  route.proxy_protocol = ProxyProtocol::kV2;
  edge.Apply({route});
  TestSocket client = TestSocket::ConnectTo(edge.port.number(), ip);
  const std::string hello = HelloFor("shop.example");
  client.Send(hello);
  const std::string header =
      ProxyHeader({PackedAddress::From(client.LocalAddress()),
                   PackedAddress::From(SocketAddress::FromIp(ip, edge.port.number()).value()),
                   "shop.example", "route-1"});
  CHECK(upstream.Accept().Read(header.size() + hello.size()) == header + hello);
}

TEST_CASE("an upstream that refuses is followed by another", "[edge][data-plane]") {
  Edge edge;
  TestUpstream gone;
  TestUpstream works;
  gone.StopListening();
  Route route = edge.TcpRoute("r", {UpstreamAt("i-gone", gone), UpstreamAt("i-works", works)});
  route.policy = BalancePolicy::kRoundRobin;
  edge.Apply({route});
  for (int i = 0; i < 10; ++i) {
    TestSocket client = edge.Connect();
    TestSocket server = works.Accept();
    REQUIRE(EchoThrough(&client, &server, "hello") == "hello");
  }
  CHECK(edge.Counted(Count::kRouted) == 10);
  // After failures in a row it is not tried any more.
  CHECK(edge.Counted(Count::kConnectFailures) == kConnectFailuresMax);
  CHECK(edge.registry.UpstreamsNotReached() == std::vector<std::string>{"i-gone"});
}

TEST_CASE("an upstream that does not answer is followed by another", "[edge][data-plane]") {
  DataPlaneOptions options = TwoLoops();
  options.timeouts.connect = absl::Milliseconds(50);
  Edge edge(options);
  // With its queue full, it drops what would open another connection.
  TestUpstream mute("127.0.0.1", 0);
  const TestSocket filler = TestSocket::ConnectTo(mute.address().port());
  TestUpstream works;
  Route route = edge.TcpRoute("r", {UpstreamAt("i-mute", mute), UpstreamAt("i-works", works)});
  route.policy = BalancePolicy::kRoundRobin;
  edge.Apply({route});
  TestSocket client = edge.Connect();
  TestSocket server = works.Accept();
  CHECK(EchoThrough(&client, &server, "hello") == "hello");
  CHECK(edge.Counted(Count::kConnectTimeouts) == 1);
  CHECK(edge.Counted(Count::kConnectFailures) == 1);
}

TEST_CASE("an upstream that comes back is found out without a client", "[edge][data-plane]") {
  DataPlaneOptions options = TwoLoops();
  options.probe_interval = absl::Milliseconds(5);
  Edge edge(options);
  TestUpstream upstream;
  upstream.StopListening();
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i", upstream)})});
  CHECK(edge.Connect().ReadToEnd().empty());
  const RouteTable::Match match = edge.table->FindDefault(edge.port.number()).value();
  CHECK(Eventually([&] { return match.upstreams[0]->IsEjected(edge.clock.Monotonic()); }));
  CHECK(edge.Counted(Count::kConnectFailures) == 1);
  upstream.ListenAgain();
  CHECK(Eventually([&] { return edge.registry.UpstreamsNotReached().empty(); }));
  CHECK_FALSE(match.upstreams[0]->IsEjected(edge.clock.Monotonic()));
}

TEST_CASE("a new upstream that cannot be reached is found out without a client",
          "[edge][data-plane]") {
  DataPlaneOptions options = TwoLoops();
  options.probe_interval = absl::Milliseconds(5);
  Edge edge(options);
  TestUpstream works;
  TestUpstream gone;
  gone.StopListening();
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i-works", works), UpstreamAt("i-gone", gone)})});
  const RouteTable::Match match = edge.table->FindDefault(edge.port.number()).value();
  CHECK(Eventually([&] {
    return edge.registry.UpstreamsNotReached() == std::vector<std::string>{"i-gone"} &&
           match.upstreams[0]->IsKnownToAnswer();
  }));
  CHECK(edge.Counted(Count::kConnectFailures) == 0);
}

TEST_CASE("without a reachable upstream the client gets an end, not a reset",
          "[edge][data-plane]") {
  Edge edge;
  TestUpstream gone;
  gone.StopListening();
  std::vector<Route::Upstream> upstreams;
  SECTION("because there is none") {}
  SECTION("because it refuses") { upstreams = {UpstreamAt("i", gone)}; }
  SECTION("because all that may be tried refuse") {
    for (const char* id : {"a", "b", "c", "d"}) upstreams.push_back(UpstreamAt(id, gone));
  }
  edge.Apply({edge.TcpRoute("r", upstreams)});
  TestSocket client = edge.Connect();
  client.SendIfPossible("a request that nobody reads");
  client.SendIfPossible("and more of it");
  CHECK(client.ReadToEnd().empty());
  CHECK(edge.Counted(Count::kNoUpstream) == 1);
  CHECK(edge.Counted(Count::kConnectFailures) == std::min(upstreams.size(), kConnectAttemptsMax));
}

TEST_CASE("an end is passed on in each direction by itself", "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i", upstream)})});
  TestSocket client = edge.Connect();
  TestSocket server = upstream.Accept();

  SECTION("the client's first") {
    client.Send("request");
    client.FinishSending();
    CHECK(server.ReadToEnd() == "request");
    server.Send("late answer");
    server.FinishSending();
    CHECK(client.ReadToEnd() == "late answer");
  }
  SECTION("the upstream's first") {
    server.Send("greeting");
    server.FinishSending();
    CHECK(client.ReadToEnd() == "greeting");
    client.Send("late request");
    client.FinishSending();
    CHECK(server.ReadToEnd() == "late request");
  }
  CHECK(edge.EventuallyCounts(Count::kActive, 0));
  CHECK(edge.Counted(Count::kResets) == 0);
  CHECK(edge.registry.ConnectionsPerUpstream().empty());
}

TEST_CASE("a reset is passed on as a reset", "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i", upstream)})});
  auto client = std::make_unique<TestSocket>(edge.Connect());
  auto server = std::make_unique<TestSocket>(upstream.Accept());
  REQUIRE(EchoThrough(client.get(), server.get(), "hello") == "hello");
  SECTION("from the upstream") {
    server->ResetOnClose();
    server.reset();
    CHECK(client->EndsWithReset());
  }
  SECTION("from the client") {
    client->ResetOnClose();
    client.reset();
    CHECK(server->EndsWithReset());
  }
  CHECK(edge.EventuallyCounts(Count::kResets, 1));
  CHECK(edge.EventuallyCounts(Count::kActive, 0));
}

TEST_CASE("a client gets the whole answer of an upstream that stopped reading",
          "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i", upstream)})});
  TestSocket client = edge.Connect();
  {
    TestSocket server = upstream.Accept();
    server.Send("413 too large");
    server.FinishSending();
    CHECK(client.Read(13) == "413 too large");
  }
  // The upstream is closed now and resets what still comes.
  client.SendIfPossible(std::string(100'000, 'x'));
  CHECK(client.ReadToEnd().empty());
}

TEST_CASE("large transfers in both directions at once arrive whole", "[edge][data-plane]") {
  const size_t size = 16 * kMiB;
  Edge edge;
  TestUpstream upstream;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i", upstream)})});
  TestSocket client = edge.Connect();
  TestSocket server = upstream.Accept();
  const std::string upload = Pattern(size);
  const std::string download = Pattern(size + 1).substr(1);
  std::string uploaded;
  std::string downloaded;
  {
    std::vector<std::jthread> threads;
    threads.emplace_back([&] {
      client.Send(upload);
      client.FinishSending();
    });
    threads.emplace_back([&] {
      server.Send(download);
      server.FinishSending();
    });
    threads.emplace_back([&] { uploaded = server.ReadToEnd(); });
    threads.emplace_back([&] { downloaded = client.ReadToEnd(); });
  }
  // Not CHECK(a == b): it would print the bytes.
  const bool upload_is_whole = uploaded == upload;
  const bool download_is_whole = downloaded == download;
  CHECK(upload_is_whole);
  CHECK(download_is_whole);
  CHECK(edge.EventuallyCounts(Count::kActive, 0));
  CHECK(edge.Counted(Count::kBytesToUpstreams) == size);
  CHECK(edge.Counted(Count::kBytesToClients) == size);
}

TEST_CASE("a client that does not read holds up the upstream, not the edge", "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i", upstream)})});
  TestSocket client = edge.Connect();
  TestSocket server = upstream.Accept();
  // More than the kernel's buffers on the way hold together.
  const std::string download = Pattern(64 * kMiB);
  std::atomic<bool> sent = false;
  std::jthread sender([&] {
    server.Send(download);
    server.FinishSending();
    sent = true;
  });
  // Another connection works meanwhile.
  TestSocket other_client = edge.Connect();
  TestSocket other_server = upstream.Accept();
  CHECK(EchoThrough(&other_client, &other_server, "hello") == "hello");
  CHECK_FALSE(sent);
  const bool is_whole = client.ReadToEnd() == download;
  CHECK(is_whole);
}

TEST_CASE("many connections at once are spread over the upstreams", "[edge][data-plane]") {
  constexpr size_t kConnections = 200;
  Edge edge;
  TestUpstream first;
  TestUpstream second;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i-1", first), UpstreamAt("i-2", second)})});
  std::vector<TestSocket> clients;
  clients.reserve(kConnections);
  for (size_t i = 0; i < kConnections; ++i) clients.push_back(edge.Connect());
  REQUIRE(edge.EventuallyCounts(Count::kRouted, kConnections));
  std::vector<TestSocket> servers;
  while (first.HasConnection()) servers.push_back(first.Accept());
  // Two loops may choose at the same moment; that evens out.
  CHECK(servers.size() >= kConnections / 2 - 5);
  CHECK(servers.size() <= kConnections / 2 + 5);
  while (second.HasConnection()) servers.push_back(second.Accept());
  REQUIRE(servers.size() == kConnections);
  for (size_t i = 0; i < kConnections; ++i) clients[i].Send(absl::StrCat(1000 + i));
  // Each server gets one client's bytes and answers with them.
  for (TestSocket& server : servers) server.Send(server.Read(4));
  for (size_t i = 0; i < kConnections; ++i) CHECK(clients[i].Read(4) == absl::StrCat(1000 + i));
  clients.clear();
  servers.clear();
  CHECK(edge.EventuallyCounts(Count::kActive, 0));
}

TEST_CASE("a change of tables leaves established connections alone", "[edge][data-plane]") {
  Edge edge;
  TestUpstream old_upstream;
  TestUpstream new_upstream;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i-old", old_upstream)})});
  TestSocket client = edge.Connect();
  TestSocket server = old_upstream.Accept();

  SECTION("when a route gets other upstreams") {
    edge.Apply({edge.TcpRoute("r", {UpstreamAt("i-new", new_upstream)})});
    TestSocket new_client = edge.Connect();
    TestSocket new_server = new_upstream.Accept();
    CHECK(EchoThrough(&new_client, &new_server, "new") == "new");
  }
  SECTION("when the upstream drains") {
    Route route =
        edge.TcpRoute("r", {UpstreamAt("i-old", old_upstream), UpstreamAt("i-new", new_upstream)});
    route.upstreams[0].draining = true;
    edge.Apply({route});
    for (int i = 0; i < 5; ++i) {
      TestSocket new_client = edge.Connect();
      new_upstream.Accept();
    }
    CHECK_FALSE(old_upstream.HasConnection());
  }
  SECTION("when its port is closed") {
    edge.Apply({});
    CHECK_THROWS_AS(edge.Connect(), std::system_error);
  }
  CHECK(EchoThrough(&client, &server, "still here") == "still here");
}

TEST_CASE("the connections of a draining upstream are counted until they end",
          "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  Route route = edge.TcpRoute("r", {UpstreamAt("i", upstream)});
  edge.Apply({route});
  auto client = std::make_unique<TestSocket>(edge.Connect());
  TestSocket server = upstream.Accept();
  route.upstreams[0].draining = true;
  edge.Apply({route});
  REQUIRE(EchoThrough(client.get(), &server, "hello") == "hello");
  CHECK(edge.registry.ConnectionsPerUpstream() == Connections{{"i", 1}});

  SECTION("by themselves") {
    client.reset();
    CHECK(server.ReadToEnd().empty());
    server.FinishSending();
  }
  SECTION("by force, with an end and not a reset") {
    edge.plane->CloseUpstream("another");
    CHECK(EchoThrough(client.get(), &server, "hello") == "hello");
    edge.plane->CloseUpstream("i");
    CHECK(client->ReadToEnd().empty());
    CHECK(edge.Counted(Count::kClosedWithUpstream) == 1);
  }
  CHECK(Eventually([&] { return edge.registry.ConnectionsPerUpstream().empty(); }));
}

TEST_CASE("a connection being made to an upstream that has to go is made to another",
          "[edge][data-plane]") {
  DataPlaneOptions options = TwoLoops();
  options.timeouts.connect = absl::InfiniteDuration();
  Edge edge(options);
  TestUpstream mute("127.0.0.1", 0);
  const TestSocket filler = TestSocket::ConnectTo(mute.address().port());
  TestUpstream works;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i-mute", mute)})});
  TestSocket client = edge.Connect();
  REQUIRE(Eventually([&] { return !edge.registry.ConnectionsPerUpstream().empty(); }));
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i-works", works)})});
  edge.plane->CloseUpstream("i-mute");
  TestSocket server = works.Accept();
  CHECK(EchoThrough(&client, &server, "hello") == "hello");
  CHECK(edge.Counted(Count::kConnectFailures) == 0);
}

TEST_CASE("connections and changes of tables do not disturb each other", "[edge][data-plane]") {
  constexpr int kThreads = 4;
  constexpr int kConnectionsPerThread = 50;
  Edge edge;
  TestUpstream first;
  TestUpstream second;
  const Route both = edge.TcpRoute("r", {UpstreamAt("i-1", first), UpstreamAt("i-2", second)});
  const Route one = edge.TcpRoute("r", {UpstreamAt("i-1", first)});
  edge.Apply({both});

  std::atomic<int> served = 0;
  std::atomic<int> whole = 0;
  {
    // Answers until every client has been served. Outlives the threads that are in it.
    const auto serve = [&served](TestUpstream* upstream) {
      while (served < kThreads * kConnectionsPerThread) {
        if (!upstream->HasConnection()) {
          std::this_thread::yield();
          continue;
        }
        TestSocket server = upstream->Accept();
        server.Send(server.ReadToEnd());
        ++served;
      }
    };
    std::vector<std::jthread> upstreams;
    upstreams.emplace_back([&] { serve(&first); });
    upstreams.emplace_back([&] { serve(&second); });
    std::vector<std::jthread> clients;
    clients.reserve(kThreads);
    for (int t = 0; t < kThreads; ++t) {
      clients.emplace_back([&edge, &whole, t] {
        for (int i = 0; i < kConnectionsPerThread; ++i) {
          TestSocket client = edge.Connect();
          const std::string request = absl::StrCat("request ", t, " ", i);
          client.Send(request);
          client.FinishSending();
          whole += client.ReadToEnd() == request;
        }
      });
    }
    for (int i = 0; served < kThreads * kConnectionsPerThread; ++i) {
      edge.Apply({i % 2 == 0 ? one : both});
      edge.registry.ConnectionsPerUpstream();
      edge.plane->Counts();
    }
  }
  CHECK(whole == kThreads * kConnectionsPerThread);
  CHECK(edge.EventuallyCounts(Count::kActive, 0));
}

TEST_CASE("a client that does not say where it wants to go is dropped", "[edge][data-plane]") {
  DataPlaneOptions options = TwoLoops();
  options.timeouts.first_byte = absl::Milliseconds(10);
  options.timeouts.hello = absl::Milliseconds(20);
  Edge edge(options);
  edge.Apply({edge.TlsRoute("r", "shop.example", {})});
  TestSocket silent = edge.Connect();
  TestSocket slow = edge.Connect();
  slow.Send("\x16");
  CHECK(silent.ReadToEnd().empty());
  CHECK(slow.ReadToEnd().empty());
  CHECK(edge.Counted(Count::kHelloTimeouts) == 2);
}

TEST_CASE("a client that leaves before it has said where to is counted", "[edge][data-plane]") {
  Edge edge;
  edge.Apply({edge.TlsRoute("r", "shop.example", {})});
  TestSocket client = edge.Connect();
  client.Send(HelloFor("shop.example").substr(0, 20));
  client.FinishSending();
  CHECK(client.ReadToEnd().empty());
  CHECK(edge.EventuallyCounts(Count::kHelloAbandoned, 1));
}

TEST_CASE("idle connections end where a limit is set", "[edge][data-plane]") {
  DataPlaneOptions options = TwoLoops();
  SECTION("in both directions") { options.timeouts.idle = absl::Milliseconds(20); }
  SECTION("after the upstream's end") {
    options.timeouts.idle_after_upstream_end = absl::Milliseconds(20);
  }
  Edge edge(options);
  TestUpstream upstream;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i", upstream)})});
  TestSocket client = edge.Connect();
  TestSocket server = upstream.Accept();
  server.FinishSending();
  CHECK(client.ReadToEnd().empty());
  CHECK(server.ReadToEnd().empty());
  CHECK(edge.EventuallyCounts(Count::kIdleTimeouts, 1));
}

TEST_CASE("a port that is taken is reported and opened once it is free, while others work",
          "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  auto taken = std::make_unique<TestUpstream>();
  const uint16_t taken_port = taken->address().port();
  Route elsewhere = edge.TcpRoute("elsewhere", {UpstreamAt("i", upstream)});
  elsewhere.port = taken_port;
  const std::vector<Route> routes = {edge.TcpRoute("r", {UpstreamAt("i", upstream)}), elsewhere};
  edge.Apply(routes);
  CHECK(edge.plane->ListenerProblems() ==
        std::map<uint16_t, std::string>{{taken_port, "address in use"}});
  edge.Connect();
  upstream.Accept();

  taken.reset();
  SECTION("by the next table") { edge.Apply(routes); }
  SECTION("by itself") {
    CHECK(Eventually([&] { return edge.plane->ListenerProblems().empty(); }));
  }
  CHECK(edge.plane->ListenerProblems().empty());
  TestSocket::ConnectTo(taken_port);
  upstream.Accept();
}

TEST_CASE("a port that a new table lacks is no problem any more", "[edge][data-plane]") {
  Edge edge;
  TestUpstream taken;
  Route route = edge.TcpRoute("r", {});
  route.port = taken.address().port();
  edge.Apply({route});
  CHECK(edge.plane->ListenerProblems().size() == 1);
  edge.Apply({});
  CHECK(edge.plane->ListenerProblems().empty());
}

TEST_CASE("draining lets connections end and closes what is left", "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i", upstream)})});
  TestSocket client = edge.Connect();
  TestSocket server = upstream.Accept();
  edge.plane->StopAccepting();
  CHECK_THROWS_AS(edge.Connect(), std::system_error);
  CHECK(EchoThrough(&client, &server, "hello") == "hello");

  SECTION("nothing is left") {
    client.FinishSending();
    CHECK(server.ReadToEnd().empty());
    server.FinishSending();
    CHECK(edge.plane->Drain(absl::InfiniteDuration()) == 0);
    CHECK(client.ReadToEnd().empty());
  }
  SECTION("the deadline passes") {
    CHECK(edge.plane->Drain(absl::Milliseconds(10)) == 1);
    CHECK(client.ReadToEnd().empty());
    CHECK(server.ReadToEnd().empty());
  }
  CHECK(edge.Counted(Count::kActive) == 0);
}

TEST_CASE("a new data plane takes over the listening sockets, with what waits in them",
          "[edge][data-plane]") {
  auto old_edge = std::make_unique<Edge>();
  TestUpstream upstream;
  const std::vector<Route> routes = {old_edge->TcpRoute("r", {UpstreamAt("i", upstream)})};
  old_edge->Apply(routes);
  TestSocket client = old_edge->Connect();
  TestSocket server = upstream.Accept();

  Edge new_edge;
  REQUIRE(new_edge.plane->Adopt(old_edge->plane->DuplicateListeners()).ok());
  old_edge->plane->StopAccepting();
  // Nobody accepts now, but nobody is refused.
  std::vector<TestSocket> waiting;
  waiting.reserve(10);
  for (int i = 0; i < 10; ++i) waiting.push_back(old_edge->Connect());
  CHECK(old_edge->Counted(Count::kAccepted) == 1);
  new_edge.Apply(routes);
  for (int i = 0; i < 10; ++i) upstream.Accept().Send("hello");
  for (TestSocket& waited : waiting) CHECK(waited.Read(5) == "hello");
  CHECK(new_edge.Counted(Count::kAccepted) == 10);
  CHECK(EchoThrough(&client, &server, "still here") == "still here");

  SECTION("and closes them when a table lacks the port") {
    new_edge.Apply({});
    CHECK_THROWS_AS(old_edge->Connect(), std::system_error);
  }
}

TEST_CASE("what is not a listening socket is not adopted", "[edge][data-plane]") {
  Edge edge;
  std::vector<UniqueFd> sockets;
  sockets.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const absl::Status status = edge.plane->Adopt(std::move(sockets));
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("clients wait while there are as many connections as are allowed", "[edge][data-plane]") {
  DataPlaneOptions options;
  options.loops = 1;
  options.connections_max = 2;
  Edge edge(options);
  TestUpstream upstream;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i", upstream)})});
  std::vector<TestSocket> clients;
  clients.reserve(3);
  for (int i = 0; i < 3; ++i) clients.push_back(edge.Connect());
  std::vector<TestSocket> servers;
  servers.reserve(2);
  for (int i = 0; i < 2; ++i) servers.push_back(upstream.Accept());
  REQUIRE(Eventually([&] { return edge.Counted(Count::kLimitReached) > 0; }));
  CHECK(edge.Counted(Count::kAccepted) == 2);
  clients.erase(clients.begin());
  servers.clear();
  upstream.Accept();
  CHECK(edge.Counted(Count::kAccepted) == 3);
}

TEST_CASE("without descriptors the edge pauses, and goes on when there are some",
          "[edge][data-plane]") {
  Edge edge;
  TestUpstream upstream;
  edge.Apply({edge.TcpRoute("r", {UpstreamAt("i", upstream)})});
  rlimit original;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &original) == 0);
  TestSocket client = edge.Connect();
  TestSocket server = upstream.Accept();
  // The lowest free descriptor is the limit from here on: no further one can be made.
  TestSocket waiting(UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  const UniqueFd lowest_free(dup(0));
  rlimit none_left = original;
  none_left.rlim_cur = static_cast<rlim_t>(lowest_free.get());
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none_left) == 0);
  waiting.Connect(edge.port.number());
  const bool paused = Eventually([&] { return edge.Counted(Count::kOutOfDescriptors) >= 2; });
  const bool works_meanwhile = EchoThrough(&client, &server, "hello") == "hello";
  REQUIRE(setrlimit(RLIMIT_NOFILE, &original) == 0);
  CHECK(paused);
  CHECK(works_meanwhile);
  TestSocket late_server = upstream.Accept();
  CHECK(EchoThrough(&waiting, &late_server, "hello") == "hello");
  // One attempt for each pause: accepting did not spin.
  CHECK(edge.Counted(Count::kOutOfDescriptors) < 1'000);
}

TEST_CASE("options that make no sense are refused", "[edge][data-plane]") {
  SystemClock clock;
  UpstreamRegistry registry;
  DataPlaneOptions options = TwoLoops();
  SECTION("no loop") { options.loops = 0; }
  SECTION("fewer connections than loops") { options.connections_max = 1; }
  SECTION("a name as the address") { options.listen_ip = "localhost"; }
  CHECK(DataPlane::Create(options, &clock, &registry).status().code() ==
        absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace berth::edge
