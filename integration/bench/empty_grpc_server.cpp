// The floor of the footprint benchmark: a gRPC server that serves nothing, and so what every
// process with gRPC takes. Runs until it is killed.

#include <grpcpp/grpcpp.h>

#include <iostream>
#include <memory>

int main() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) return 1;
  std::cerr << "serves\n";
  server->Wait();
  return 0;
}
