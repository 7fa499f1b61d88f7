local class_name = require "taskflow.utils.class_name"

describe("taskflow.utils.class_name", function()
  local class = {}

  after_each(function()
    package.loaded["spec.long.module"], package.loaded["spec.short"] = nil, nil
  end)

  it("is the module that has the class, and its field there", function()
    assert.is_nil(class_name.of(class))
    package.loaded["spec.long.module"] = { Thing = class, other = 1 }
    assert.equal("spec.long.module.Thing", class_name.of(class))
  end)

  it("is the shortest if several modules have it, whatever was loaded first", function()
    local shared = {}
    package.loaded["spec.long.module"] = { Thing = shared }
    package.loaded["spec.short"] = { Thing = shared, A = shared }
    assert.equal("spec.short.A", class_name.of(shared))
  end)

  it("does not run metamethods of modules", function()
    package.loaded["spec.short"] = setmetatable({}, {
      __index = function()
        error "asked"
      end,
    })
    assert.is_nil(class_name.of {})
  end)
end)
