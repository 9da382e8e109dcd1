"""What a release needs beside the build."""
