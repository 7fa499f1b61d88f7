-- The third call fails: the two before it are taken back, the last one first. `tfhost run` exits with 3.
local lf = require "taskflow.patterns.linear_flow"
local phone = require "tasks.phone"

return function()
  return lf.Flow("reverting"):add(
    phone.Call { name = "call-jim", inject = { who = "jim", number = 555 } },
    phone.Call { name = "call-joe", inject = { who = "joe", number = 444 } },
    phone.CallNobody { name = "call-suzzie", inject = { who = "Suzzie" } }
  )
end
