require "interop_matrix"("amqp", "lua", "python")
