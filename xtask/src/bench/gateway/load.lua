-- Sends one kind of request: its bytes are in a file, as they go over the wire. Every NNNNNNNNNNNNNNNN in it is a number of as many
-- digits, another one each time.
local template, is_fixed, counter

function init(args)
  local file = io.open(args[1], "rb")
  template = file:read("*a")
  file:close()
  is_fixed = template:find("NNNNNNNNNNNNNNNN", 1, true) == nil
  counter = tonumber(args[2])
end

function request()
  if is_fixed then
    return template
  end
  counter = counter + 1
  return (template:gsub("NNNNNNNNNNNNNNNN", string.format("%016d", counter)))
end
