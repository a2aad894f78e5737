// The floor of the footprint benchmark: a gRPC server that serves nothing, and so what every
// process with gRPC takes. Runs until it is killed.

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <iostream>
#include <memory>

int main() {
  int port = 0;
  // Refuses every call; a server without any service does not start.
  grpc::CallbackGenericService nothing;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&nothing);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) return 1;
  std::cerr << "serves\n";
  server->Wait();
  return 0;
}
