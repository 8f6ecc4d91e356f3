"""The commands of the command line, one thin function each, by what they work on."""
