-- The flows that resume_spec kills.
local lf = require "taskflow.patterns.linear_flow"
local retry = require "taskflow.retry"
local uf = require "taskflow.patterns.unordered_flow"
local work = require "work"

local function step(name)
  return work.Step { name = name, provides = name .. "_result" }
end

return {
  success = function()
    return lf.Flow("success"):add(step "a", uf.Flow("two"):add(step "b1", step "b2"), step "c")
  end,
  failure = function()
    return lf.Flow("failure"):add(step "a", uf.Flow("two"):add(step "b1", step "b2"), work.Boom { name = "boom" })
  end,
  retry = function()
    local times = retry.Times { name = "times", attempts = 3, provides = "round" }
    return lf.Flow("retry"):add(
      step "z",
      lf.Flow("again", { retry = times }):add(step "a", work.Third { name = "third", provides = "third_result" }),
      step "y"
    )
  end,
  long = function()
    local flow = uf.Flow "long"
    for i = 1, 4 do
      flow:add(work.Long { name = "long" .. i, provides = "long" .. i })
    end
    return flow
  end,
  exhausted = function()
    local times = retry.Times { name = "times", attempts = 2, provides = "round", revert_all = true }
    local again = lf.Flow("again", { retry = times }):add(step "a", work.Boom { name = "boom" })
    return lf.Flow("exhausted"):add(step "z", again)
  end,
}
