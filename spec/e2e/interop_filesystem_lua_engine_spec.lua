require "interop_matrix"("filesystem", "lua", "python")
