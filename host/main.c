/* argv to a command; owns nothing else. */
int main(void)
{
	return 0;
}
