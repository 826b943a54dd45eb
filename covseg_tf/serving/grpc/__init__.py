"""TensorFlow Serving's gRPC API: the server, and the client's side."""
