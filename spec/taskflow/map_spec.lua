-- What a map is made from, and what it is told when that is wrong; how it runs is in spec/host/map_spec.lua and
-- spec/e2e/map_spec.lua.
local task = require "taskflow.task"

local Resize = task.Task {
  execute = function(_self, image, width)
    return image .. width
  end,
  revert = function(_self, result) end, -- luacheck: ignore
}
local One = task.Task {
  execute = function(_self, image)
    return image
  end,
}

local function fails(options)
  local ok, err = pcall(task.Map, options)
  assert.is_false(ok)
  return (tostring(err):gsub("^[^:]+:%d+: ", ""))
end

describe("a map", function()
  it("requires the list, and what else its task takes", function()
    local map = task.Map { task = Resize, name = "m", over = "photos", as = "image", provides = "thumbnails" }
    assert.same({ "photos", "width" }, map.requires)
    assert.same({ "thumbnails" }, map.provides)
    assert.equal("image", map.each)
    assert.is_true(task.is_task(map))
  end)

  it("gives the element to the only parameter there is", function()
    assert.equal("image", task.Map({ task = One, over = "photos" }).each)
    assert.equal("x", task.Map({ task = function(x) return x end, over = "photos" }).each)
  end)

  it("asks nothing of a revert that has no such parameter", function()
    local map = task.Map { task = Resize, over = "photos", as = "image", rebind = { width = "w" }, revert_rebind = {} }
    assert.same({}, map.revert_rebind)
    assert.same({ image = "photos", width = "w" }, map.rebind)
  end)

  it("can be by reference, then with `as`", function()
    local map = task.Map { task = "images:Resize", over = "photos", as = "image", requires = { "width" } }
    assert.equal("images.Resize", map.task_cls)
    assert.same({ width = "width", image = "photos" }, map.rebind)
    assert.equal(
      'ValueError: Map: name the parameter that takes an element, as in { over = "photos", as = "photo" }',
      fails { task = "images:Resize", over = "photos" }
    )
  end)

  it("tells what is wrong", function()
    for message, options in pairs {
      ["TypeError: Map: its argument must be a table, not a number"] = 1,
      ["TypeError: Map: over, the name of the list, must be a string, not nil"] = { task = One },
      ["TypeError: Map: task must be a task class, \"module:Class\" or a function, not nil"] = { over = "photos" },
      ["TypeError: Map: task must be a task class, \"module:Class\" or a function, not a task that is made already"] = {
        task = One { name = "one" },
        over = "photos",
      },
      ['ValueError: Map: name the parameter that takes an element, as in { over = "photos", as = "photo" }'] = {
        task = Resize,
        over = "photos",
      },
      ["ValueError: Map: as: unknown parameter 'imagge', did you mean 'image'?"] = {
        task = Resize,
        over = "photos",
        as = "imagge",
      },
      ["ValueError: Map: limit must be an integer of at least 1, not '0'"] = { task = One, over = "photos", limit = 0 },
      ["ValueError: Map: limit must be an integer of at least 1, not '1.5'"] = {
        task = One,
        over = "photos",
        limit = 1.5,
      },
      ["TypeError: Map: rebind must be a table from parameter to name"] = {
        task = Resize,
        over = "photos",
        as = "image",
        rebind = { "a", "b" },
      },
      ["ValueError: Map: rebind: the parameter 'image' takes an element of 'photos'"] = {
        task = One,
        over = "photos",
        rebind = { image = "x" },
      },
      ["TypeError: Map: unknown option 'limmit', did you mean 'limit'?"] = { task = One, over = "p", limmit = 3 },
    } do
      assert.equal(message, fails(options))
    end
  end)
end)
