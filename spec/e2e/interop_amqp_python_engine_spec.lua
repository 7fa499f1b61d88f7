require "interop_matrix"("amqp", "python", "lua")
