local text = require "taskflow.utils.text"

describe("taskflow.utils.text", function()
  it("prints lists as Python does", function()
    assert.equal("[]", text.pylist {})
    assert.equal("['a', 'it\\'s', 'c\\\\d']", text.pylist { "a", "it's", "c\\d" })
  end)

  it("finds the name that was meant", function()
    local known = { name = true, requires = true, rebind = true }
    assert.equal("name", text.nearest("nmae", known))
    assert.equal("requires", text.nearest("reqires", known))
    assert.is_nil(text.nearest("colour", known))
    assert.equal("unknown option 'nam', did you mean 'name'?", text.unknown("option", "nam", known))
    assert.equal("unknown option '7' (known: name, rebind, requires)", text.unknown("option", 7, known))
  end)
end)
