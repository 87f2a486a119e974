local found = {}
for number = 2, tonumber(arg[1]) do
  local prime = true
  for _, divisor in ipairs(found) do
    if number % divisor == 0 then prime = false end
  end
  if prime then found[#found + 1] = number end
end
print(table.concat(found, " "))
