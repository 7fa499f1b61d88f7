require "interop_matrix"("filesystem", "python", "lua")
