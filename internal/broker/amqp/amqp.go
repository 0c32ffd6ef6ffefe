// Package amqp will be replaced.
package amqp

import _ "github.com/rabbitmq/amqp091-go"
