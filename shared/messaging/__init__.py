"""Between the services and Kafka: broker, outbox, the projection of the topic `letters`, and parking of what cannot be handled."""
