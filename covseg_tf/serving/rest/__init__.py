"""TensorFlow Serving's REST API: the application, and the client's side."""
