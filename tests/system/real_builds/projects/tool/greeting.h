/* What `lua -v` says. */
#undef LUA_COPYRIGHT
#define LUA_COPYRIGHT "Lua, built in a container"
