-- The shipped flows by name: `tfhost run flows:simple_linear`. Each file of this folder returns a builder.
return setmetatable({}, {
  __index = function(_, name)
    return require("flows." .. name)
  end,
})
